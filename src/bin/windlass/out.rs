//! Standard output: the result, with colours only where somebody sees them, and no panic when nobody reads it.

use crate::exit::Failure;
use std::io::{self, IsTerminal, Write};

/// Where the result goes.
#[derive(Debug, Default)]
pub struct Out {
    /// The reader went away: `windlass bench | head -1`.
    gone: bool,
}

impl Out {
    /// Writes and flushes. A reader that went away is no failure; what it would have read is dropped.
    pub fn write(&mut self, text: &str) -> Result<(), Failure> {
        if self.gone {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.gone = true,
            Err(error) => {
                self.gone = true;
                return Err(Failure::failed(format!(
                    "the result could not be written to standard output: {error}"
                )));
            }
            Ok(()) => {}
        }
        Ok(())
    }

    /// Whether nobody reads it any more.
    pub fn is_gone(&self) -> bool {
        self.gone
    }
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tone {
    Label,
    Good,
    Bad,
    Doubtful,
}

/// Whether and how text is coloured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// Colours if standard output is a terminal and nobody objects (<https://no-color.org>).
    pub fn detect(no_color: bool) -> Style {
        let objected = no_color
            || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Style { coloured: !objected && io::stdout().is_terminal() }
    }

    /// The text in the colour of its tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        if !self.coloured {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Label => "1",
            Tone::Good => "1;32",
            Tone::Bad => "1;31",
            Tone::Doubtful => "1;33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

#[cfg(test)]
impl Style {
    pub const PLAIN: Style = Style { coloured: false };
    pub const COLOURED: Style = Style { coloured: true };
}
