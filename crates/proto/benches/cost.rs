//! What the hot paths cost, in nanoseconds and bytes per second: `cargo bench -p tidewire-proto`.
//!
//! Each figure is the best of many rounds, which is what a noisy machine disturbs least. It is for people who change this
//! crate; nothing depends on it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tidewire_proto::{Event, Limits, Opcode, Receiver, Role, encode_frame, mask};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const ROUNDS: usize = 2_000;

fn main() {
    println!("receive, 16 whole frames in one input, per frame:");
    for (name, opcode, payload) in [
        ("text 20 B", Opcode::Text, "twenty bytes of text".to_owned()),
        ("text 20 B, not ASCII", Opcode::Text, "zwanzig Bytes, schön".chars().take(19).collect()),
        ("text 100 B", Opcode::Text, "0123456789".repeat(10)),
        ("text 1 KiB", Opcode::Text, "0123456789abcdef".repeat(64)),
        ("binary 20 B", Opcode::Binary, "twenty bytes of data".to_owned()),
        ("binary 1 KiB", Opcode::Binary, "0123456789abcdef".repeat(64)),
        ("ping 20 B", Opcode::Ping, "twenty bytes of ping".to_owned()),
    ] {
        for role in [Role::Server, Role::Client] {
            println!("  {name:<22} {role:?}  {:>8.1} ns", receive(role, opcode, payload.as_bytes(), 16, usize::MAX) / 16.0);
        }
    }

    println!("receive, as server, 16 frames of which every input cuts one, per frame:");
    let ns = receive(Role::Server, Opcode::Text, b"twenty bytes of text", 16, 30);
    println!("  {:<30} {:>8.1} ns", "text 20 B in inputs of 30 B", ns / 16.0);

    println!("receive, one message of 1 MiB as server:");
    let text = "0123456789abcdef".repeat(64 * 1024);
    for (name, opcode, cut) in [
        ("text, whole", Opcode::Text, usize::MAX),
        ("text, in 64 KiB", Opcode::Text, 64 * 1024),
        ("binary, whole", Opcode::Binary, usize::MAX),
        ("binary, in 64 KiB", Opcode::Binary, 64 * 1024),
    ] {
        let ns = receive(Role::Server, opcode, text.as_bytes(), 1, cut);
        println!("  {name:<22} {:>16.1} GB/s", text.len() as f64 / ns);
    }

    println!("mask:");
    for len in [4, 20, 100, 1024, 16 * 1024, 1024 * 1024] {
        let mut bytes = vec![0x5a; len + 1];
        let ns = best(|| mask::apply(black_box(KEY), black_box(1), black_box(&mut bytes[1..])));
        println!("  {len:>8} B {ns:>12.1} ns {:>8.1} GB/s", len as f64 / ns);
    }

    println!("encode_frame:");
    for (name, len, key) in [("20 B", 20, None), ("20 B masked", 20, Some(KEY)), ("1 KiB masked", 1024, Some(KEY))] {
        let payload = vec![0x5a; len];
        let mut out = Vec::with_capacity(64 * 1024);
        let ns = best(|| {
            out.clear();
            for _ in 0..16 {
                encode_frame(black_box(&mut out), Opcode::Text, black_box(&payload), black_box(key));
            }
        });
        println!("  {name:<22} {:>16.1} ns", ns / 16.0);
    }
}

/// The best time in nanoseconds of receiving `count` frames in pieces of `cut` bytes. Filling the input is not counted.
fn receive(role: Role, opcode: Opcode, payload: &[u8], count: usize, cut: usize) -> f64 {
    let mut wire = Vec::new();
    for _ in 0..count {
        encode_frame(&mut wire, opcode, payload, (role == Role::Server).then_some(KEY));
    }
    let limits = Limits::default();
    let mut receiver = Receiver::new(role);
    let mut input = wire.clone();
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        input.copy_from_slice(&wire);
        let start = Instant::now();
        let mut events = 0;
        for piece in input.chunks_mut(cut) {
            let mut at = 0;
            while let Ok(Some(event)) = receiver.next(&limits, piece, &mut at) {
                events += match black_box(event) {
                    Event::Text(text) => usize::from(text.len() == payload.len()),
                    Event::Binary(bytes) | Event::Ping(bytes) => usize::from(bytes.len() == payload.len()),
                    _ => 0,
                };
            }
        }
        fastest = fastest.min(start.elapsed());
        assert_eq!(events, count, "every frame is an event");
    }
    fastest.as_nanos() as f64
}

/// The best time in nanoseconds of one call, timed in batches.
fn best(mut call: impl FnMut()) -> f64 {
    const BATCH: u32 = 64;
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..BATCH {
            call();
        }
        fastest = fastest.min(start.elapsed());
    }
    fastest.as_nanos() as f64 / f64::from(BATCH)
}
