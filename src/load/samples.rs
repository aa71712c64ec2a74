//! What one generator thread writes while it runs and the collector reads beside it: counters and histograms, each
//! with one writer.

use super::plan::TIME_MAX;
use crate::metrics::{Counter, Gauge, HistogramReader, HistogramSnapshot, Recorder, histogram_up_to};
use crate::time::nanos_of;
use std::sync::Arc;

/// The counts of one thread. Requests count where their intended start lies in the measured time.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: Counter,
    pub(super) answered: Counter,
    pub(super) refused: Counter,
    pub(super) timed_out: Counter,
    pub(super) lost: Counter,
    pub(super) unsent: Counter,
    pub(super) sent_bytes: Counter,
    pub(super) received_bytes: Counter,
    pub(super) connected: Counter,
    pub(super) connect_failed: Counter,
    /// Connections that are up now.
    pub(super) up: Gauge,
    /// Requests in flight now.
    pub(super) outstanding: Gauge,
}

/// A histogram's writing half that counts equal values that follow each other, as pipelined answers of one read are,
/// before it records them all at once: a comparison for each, where a record takes 31 instructions.
#[derive(Debug)]
pub(super) struct Tally {
    recorder: Recorder,
    value: u64,
    times: u64,
}

impl Tally {
    #[inline]
    pub(super) fn record(&mut self, value: u64) {
        if value != self.value {
            self.settle();
            self.value = value;
        }
        self.times += 1;
    }

    /// Records what was counted. Readers do not see it before.
    #[inline]
    pub(super) fn settle(&mut self) {
        if self.times > 0 {
            self.recorder.record_n(self.value, self.times);
            self.times = 0;
        }
    }

    /// Records at once.
    pub(super) fn record_n(&self, value: u64, n: u64) {
        self.recorder.record_n(value, n);
    }
}

/// The writing half: belongs to the thread.
#[derive(Debug)]
pub(super) struct Samples {
    pub(super) counts: Arc<Counts>,
    pub(super) response: Tally,
    pub(super) service: Tally,
    pub(super) connect: Recorder,
    pub(super) handshake: Recorder,
    pub(super) handshake_resumed: Recorder,
    pub(super) send_lag: Tally,
    pub(super) receive_lag: Tally,
}

impl Samples {
    /// Makes everything recorded so far visible to readers.
    #[inline]
    pub(super) fn settle(&mut self) {
        [&mut self.response, &mut self.service, &mut self.send_lag, &mut self.receive_lag]
            .into_iter()
            .for_each(Tally::settle);
    }
}

/// The reading half.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    pub(super) counts: Arc<Counts>,
    pub(super) response: HistogramReader,
    pub(super) service: HistogramReader,
    pub(super) connect: HistogramReader,
    pub(super) handshake: HistogramReader,
    pub(super) handshake_resumed: HistogramReader,
    pub(super) send_lag: HistogramReader,
    pub(super) receive_lag: HistogramReader,
}

pub(super) fn samples() -> (Samples, Readers) {
    let counts = Arc::new(Counts::default());
    // The longest that anything can take: warm-up, measured time and time-out together.
    let longest_ns = nanos_of(TIME_MAX * 3);
    let [response, service, connect, handshake, handshake_resumed, send_lag, receive_lag] =
        [(); 7].map(|()| histogram_up_to(longest_ns));
    let tally = |recorder| Tally { recorder, value: 0, times: 0 };
    let samples = Samples {
        counts: Arc::clone(&counts),
        response: tally(response.0),
        service: tally(service.0),
        connect: connect.0,
        handshake: handshake.0,
        handshake_resumed: handshake_resumed.0,
        send_lag: tally(send_lag.0),
        receive_lag: tally(receive_lag.0),
    };
    let readers = Readers {
        counts,
        response: response.1,
        service: service.1,
        connect: connect.1,
        handshake: handshake.1,
        handshake_resumed: handshake_resumed.1,
        send_lag: send_lag.1,
        receive_lag: receive_lag.1,
    };
    (samples, readers)
}

/// One histogram of all threads.
pub(super) fn merged(readers: &[Readers], which: impl Fn(&Readers) -> &HistogramReader) -> HistogramSnapshot {
    let mut all = HistogramSnapshot::default();
    readers.iter().for_each(|reader| which(reader).add_to(&mut all));
    all
}

/// The sum of a counter over all threads.
pub(super) fn total(readers: &[Readers], which: impl Fn(&Counts) -> &Counter) -> u64 {
    readers.iter().map(|reader| which(&reader.counts).get()).sum()
}
