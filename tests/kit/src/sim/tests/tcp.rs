//! Each claim is checked on the simulator and on the machine's own TCP.

use super::world::{Real, Simulated, World};
use std::io::ErrorKind;
use tidewire_sys::Interest;

/// Makes two tests of a claim.
macro_rules! claims {
    ($($claim:ident)*) => {
        mod simulated {
            use super::World as _;

            $(#[test]
            fn $claim() {
                super::$claim(super::Simulated::new());
            })*
        }

        #[cfg(target_os = "linux")]
        mod real {
            use super::World as _;

            $(#[test]
            fn $claim() {
                super::$claim(super::Real::new());
            })*
        }
    };
}

claims! {
    bytes_arrive_in_both_directions
    readiness_is_level_triggered
    what_was_sent_before_a_fin_is_read_before_it
    when_both_directions_have_ended_it_is_a_hang_up
    a_reset_leaves_what_has_arrived_and_is_told_once
    a_reset_is_told_to_the_next_send
    a_reset_behind_a_fin_is_told_to_the_send_only
    a_send_to_a_closed_peer_is_answered_with_a_reset
    a_close_delivers_what_was_sent
    a_close_with_unread_input_is_a_reset
    a_peer_that_closes_with_unread_input_resets
    an_abort_is_a_reset
    a_full_peer_blocks_and_a_third_of_the_buffer_makes_it_writable
    an_empty_send_takes_nothing
}

const NOTHING: (bool, bool, bool) = (false, false, false);

fn bytes_arrive_in_both_directions(mut world: impl World) {
    world.peer_write(b"to the program");
    world.expect_ready(Interest::READ, (true, false, false));
    assert_eq!(world.recv().unwrap(), b"to the program");
    assert_eq!(world.recv().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(world.send(b"to the peer").unwrap(), 11);
    world.expect_peer_read(b"to the peer");
}

fn readiness_is_level_triggered(mut world: impl World) {
    assert_eq!(world.ready(Interest::READ), NOTHING);
    assert_eq!(world.ready(Interest::BOTH), (false, true, false));
    world.peer_write(b"hello");
    for _ in 0..3 {
        world.expect_ready(Interest::BOTH, (true, true, false));
    }
    assert_eq!(world.ready(Interest::WRITE), (false, true, false), "what is not asked for is not told");
    assert_eq!(world.ready(Interest::NONE), NOTHING);
    assert_eq!(world.recv().unwrap(), b"hello");
    assert_eq!(world.ready(Interest::READ), NOTHING);
}

fn what_was_sent_before_a_fin_is_read_before_it(mut world: impl World) {
    world.peer_write(b"last words");
    world.peer_shutdown();
    world.expect_ready(Interest::READ, (true, false, false));
    assert_eq!(world.ready(Interest::NONE), NOTHING, "one direction has ended: no hang-up");
    assert_eq!(world.recv().unwrap(), b"last words");
    world.expect_ready(Interest::READ, (true, false, false));
    assert_eq!(world.recv().unwrap(), b"");
    assert_eq!(world.recv().unwrap(), b"", "the end stays the end");
    assert_eq!(world.send(b"still there?").unwrap(), 12);
    world.expect_peer_read(b"still there?");
}

fn when_both_directions_have_ended_it_is_a_hang_up(mut world: impl World) {
    world.shutdown();
    assert_eq!(world.peer_read().unwrap(), b"");
    assert_eq!(world.ready(Interest::READ), NOTHING);
    assert_eq!(world.ready(Interest::BOTH), (false, true, false), "a send would not block: it would fail");
    assert_eq!(world.send(b"no").unwrap_err().kind(), ErrorKind::BrokenPipe);
    world.peer_shutdown();
    world.expect_ready(Interest::NONE, (false, false, true));
    assert_eq!(world.ready(Interest::BOTH), (true, true, true));
    assert_eq!(world.recv().unwrap(), b"");
}

fn a_reset_leaves_what_has_arrived_and_is_told_once(mut world: impl World) {
    world.peer_write(b"arrived");
    world.expect_ready(Interest::READ, (true, false, false));
    world.peer_reset();
    world.expect_ready(Interest::NONE, (false, false, true));
    assert_eq!(world.ready(Interest::BOTH), (true, true, true));
    assert_eq!(world.recv().unwrap(), b"arrived");
    assert_eq!(world.recv().unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(world.recv().unwrap(), b"", "told once, then it is the end");
    assert_eq!(world.send(b"no").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(world.ready(Interest::READ), (true, false, true));
}

fn a_reset_is_told_to_the_next_send(mut world: impl World) {
    world.peer_reset();
    world.expect_ready(Interest::NONE, (false, false, true));
    assert_eq!(world.send(b"no").unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(world.send(b"no").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(world.recv().unwrap(), b"");
}

fn a_reset_behind_a_fin_is_told_to_the_send_only(mut world: impl World) {
    world.peer_shutdown();
    world.expect_ready(Interest::READ, (true, false, false));
    world.peer_reset();
    world.expect_ready(Interest::NONE, (false, false, true));
    assert_eq!(world.recv().unwrap(), b"");
    assert_eq!(world.send(b"no").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

fn a_send_to_a_closed_peer_is_answered_with_a_reset(mut world: impl World) {
    world.peer_close();
    world.expect_ready(Interest::READ, (true, false, false));
    assert_eq!(world.send(b"nobody reads this").unwrap(), 17, "the kernel cannot know yet");
    world.expect_ready(Interest::NONE, (false, false, true));
    assert_eq!(world.send(b"no").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(world.recv().unwrap(), b"");
}

fn a_close_delivers_what_was_sent(mut world: impl World) {
    world.send(b"goodbye").unwrap();
    world.close();
    world.expect_peer_read(b"goodbye");
    assert_eq!(world.peer_read().unwrap(), b"");
}

fn a_close_with_unread_input_is_a_reset(mut world: impl World) {
    world.peer_write(b"unread");
    world.expect_ready(Interest::READ, (true, false, false));
    world.close();
    assert_eq!(world.peer_read_kind(), ErrorKind::ConnectionReset);
}

fn a_peer_that_closes_with_unread_input_resets(mut world: impl World) {
    world.send(b"unread").unwrap();
    world.peer_close();
    world.expect_ready(Interest::NONE, (false, false, true));
    assert_eq!(world.recv().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

fn an_abort_is_a_reset(mut world: impl World) {
    world.abort();
    assert_eq!(world.peer_read_kind(), ErrorKind::ConnectionReset);
}

fn a_full_peer_blocks_and_a_third_of_the_buffer_makes_it_writable(mut world: impl World) {
    let pattern: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
    let mut sent = 0;
    let mut blocked = 0;
    // A real kernel moves bytes on to the receiver while its buffers fill, so one refusal is not yet the end.
    while world.ready(Interest::WRITE).1 || blocked == 0 {
        match world.send(&pattern[sent % 256..]) {
            Ok(count) => sent += count,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                blocked += 1;
            }
        }
    }
    let mut read = world.peer_read_at_most(1000).unwrap().len();
    assert_eq!(world.ready(Interest::WRITE), NOTHING, "there may be room, but not much");
    while read < sent {
        let bytes = world.peer_read().unwrap();
        assert!(bytes.iter().enumerate().all(|(index, &byte)| byte == (read + index) as u8), "in order");
        read += bytes.len();
    }
    world.expect_ready(Interest::WRITE, (false, true, false));
    assert!(world.send(b"more").is_ok());
}

fn an_empty_send_takes_nothing(mut world: impl World) {
    assert_eq!(world.send(b"").unwrap(), 0);
    world.send(b"x").unwrap();
    world.expect_peer_read(b"x");
}
