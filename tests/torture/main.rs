//! Every class of bugs that event loops have had, and the tests which prove that this one does not.
//!
//! Tests of this suite are named by their module, others by their file. `table` keeps the table true: every test named
//! is there, and every test of the suite is named.
//!
//! | bug class | tests |
//! |---|---|
//! | out of descriptors, an edge-triggered listener stops | `accepting::without_descriptors_a_listener_rests_goes_on_at_a_close_and_strands_nobody`, `simulated::without_descriptors_turns_are_few_and_a_close_is_used_within_100_ms` |
//! | the spare descriptor spins | `tests/hostile/accepting.rs::a_shortage_of_descriptors_does_not_spin_and_sheds_after_a_second`, `tests/hostile/accepting.rs::a_shortage_that_passed_does_not_shorten_the_next_ones_patience`, `src/reactor/accept.rs::an_error_that_never_ends_does_not_make_the_loop_spin`, `simulated::a_shortage_that_lasts_turns_the_waiting_away_and_does_not_spin` |
//! | a passing error of accept ends the loop | `src/reactor/accept.rs::accepting_goes_on_after_errors_of_every_kind`, `src/reactor/accept.rs::an_error_of_one_newcomer_does_not_close_the_listener`, `src/reactor/accept.rs::an_unusable_listener_fails_once_and_the_others_go_on`, `injected::an_interrupted_or_failing_accept_is_made_again`, `simulated::errors_of_accept_in_any_number_and_mix_leave_a_listener_that_accepts` |
//! | a cap on accepts without an end | `tests/hostile/accepting.rs::a_burst_of_ten_times_the_limit_is_served_as_slots_become_free`, `tests/promises/budgets.rs::one_turn_accepts_no_more_than_its_budget` |
//! | reused slots, stale and spurious events | `handles::what_takes_a_slot_and_a_descriptor_within_one_batch_hears_nothing_meant_for_the_last_owner`, `tests/hostile/receiving.rs::a_connection_aborted_in_anothers_event_hears_nothing_of_the_same_batch`, `tests/promises/handles.rs::a_stale_handle_is_an_error_everywhere_and_never_its_successor`, `simulated::slots_that_are_reused_all_the_time_never_hear_what_was_meant_for_another`, `tests/sim_swarm/main.rs::swarm` |
//! | lost wake-ups | `src/reactor/bell.rs::loom_two_senders_of_one_mailbox_never_lose_a_wake_up`, `src/reactor/bell.rs::loom_two_mailboxes_never_lose_a_wake_up`, `tests/hostile/mail.rs::wake_ups_from_eight_threads_lose_nothing`, `tests/hostile/mail.rs::a_single_message_to_a_sleeper_always_wakes_it`, `src/reactor/bell.rs::loom_a_reactor_that_falls_asleep_is_woken_for_mail`, `src/reactor/bell.rs::loom_notices_a_reactor_that_sleeps_without_looking_again`, `src/reactor/bell.rs::loom_notices_a_sender_that_rings_in_two_steps`, `src/reactor/bell.rs::loom_notices_a_bit_that_is_cleared_after_the_last_look` |
//! | an end of stream lost behind a short read | `tests/hostile/receiving.rs::an_end_of_stream_queued_behind_data_is_never_lost`, `tests/hostile/receiving.rs::an_end_of_stream_racing_with_the_read_is_never_lost` |
//! | hang-ups spin, sockets stay in CLOSE_WAIT | `ends::half_closed_peers_cost_no_turn_get_their_answer_and_leave_no_socket_behind`, `tests/hostile/receiving.rs::peers_that_end_do_not_pile_up_half_closed` |
//! | interrupted system calls | `tests/hostile/signals.rs::a_signal_storm_during_wait_causes_no_error`, `injected::an_interrupted_read_or_write_is_made_again` |
//! | timers that wrap or stand on the wrong level | `src/collections/wheel.rs::behaves_like_a_map_of_deadlines`, `src/collections/timers.rs::behaves_like_a_sorted_map`, `simulated::timers_and_deadlines_are_on_time_at_every_wrap_and_after_a_century` |
//! | a clock that goes back or leaps | `src/collections/wheel.rs::a_clock_jump_costs_the_live_entries_not_the_ticks`, `simulated::a_clock_that_leaps_or_goes_back_loses_nothing_and_costs_no_turn_per_tick` |
//! | starvation | `load::a_thousand_pingers_wait_at_most_twice_as_many_turns_beside_a_flooder`, `tests/hostile/fairness.rs::one_flooder_beside_many_pingers_takes_one_budget_a_turn`, `tests/hostile/fairness.rs::timers_mail_and_accepts_go_on_under_a_storm_of_each` |
//! | output without a bound | `load::a_slow_reader_of_many_megabytes_costs_no_memory_is_told_of_and_times_out`, `tests/hostile/memory.rs::two_thousand_peers_that_never_read_stay_within_the_memory_bound` |
//! | byte-at-a-time peers | `load::slow_peers_that_hold_every_slot_and_come_back_do_not_keep_honest_ones_out`, `simulated::a_byte_a_second_in_every_slot_for_hours_ends_at_the_deadline_and_honest_clients_are_served` |
//! | overload | `load::at_twice_the_share_of_an_address_the_excess_is_refused_in_its_turn_and_the_others_do_not_feel_it`, `load::at_twice_the_connections_the_excess_waits_without_a_turn_and_is_served_when_others_leave`, `simulated::at_twice_the_limit_the_excess_is_refused_within_a_millisecond_and_the_others_do_not_feel_it` |
//! | a herd that wakes for one, uneven cores | `load::no_core_has_a_third_more_connections_than_the_mean`, `load::a_newcomer_wakes_the_core_that_serves_it_and_nobody_else` |
//! | a backlog lost when draining | `draining::an_end_at_any_moment_resets_nobody_who_was_let_in_and_comes_as_soon_as_it_can`, `tests/hostile/shutdown.rs::a_sigterm_under_load_resets_nobody_and_ends_by_itself`, `tests/hostile/shutdown.rs::a_shutdown_under_load_resets_nobody_and_ends_by_itself`, `tests/hostile/shutdown.rs::what_has_arrived_before_a_shutdown_is_answered` |
//! | hot upgrade | none: a process cannot hand its listeners to its successor yet |
//! | a handler that panics | `tests/hostile/panics.rs::an_isolated_panic_closes_that_connection_and_nothing_else` |
//! | a dead peer | `ends::a_peer_behind_a_black_hole_has_vanished_after_the_user_timeout`, `ends::a_peer_that_takes_nothing_any_more_has_vanished_after_the_user_timeout`, `simulated::a_dead_peer_has_vanished_within_a_second_after_the_user_timeout`, `simulated::a_dead_peer_of_whom_nothing_is_wanted_is_found_by_probes` |
//! | resets and errors in mid-write, floods of SYN | `tests/hostile/sending.rs::a_reset_in_mid_write_closes_once_and_frees_everything`, `injected::an_error_of_one_read_or_write_ends_that_connection_and_no_other`, `simulated::a_storm_of_resets_in_mid_write_closes_each_connection_once_and_frees_everything`, `tests/secured/storms.rs::a_storm_of_handshakes_takes_one_step_a_turn_and_an_open_connection_is_served_in_each`, `tests/secured/deadlines.rs::a_client_that_stops_in_the_handshake_times_out_and_frees_its_place` |

mod accepting;
mod clients;
#[cfg(feature = "sim")]
mod draining;
mod ends;
mod handles;
mod injected;
mod load;
#[expect(dead_code, reason = "other suites need more of it")]
#[path = "../hostile/rig.rs"]
mod rig;
#[cfg(feature = "sim")]
mod simulated;
#[path = "../rig/strace.rs"]
mod strace;
mod table;
#[path = "../../src/thorough.rs"]
mod thorough;
