//! What DEFLATE libraries take for a message by itself, as shared compression makes and reads it, and for one of many in a context, as
//! dedicated compressors do: microseconds, and bytes of each compressed message, by size and kind. Run on a machine that does nothing
//! else: `cargo run --release` in this folder.

use std::hint::black_box;
use std::time::{Duration, Instant};

use tidewire_proto::deflate::Deflater;
use tidewire_sys::zlib;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

const SIZES: &[usize] = &[20, 64, 128, 256, 512, 1024, 4096, 16 * 1024, 64 * 1024];
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// How long each figure is looked for. The least of many short looks is what undisturbed code takes.
const LOOKING: Duration = Duration::from_millis(60);

/// The time of one call, in microseconds.
fn time(mut call: impl FnMut()) -> f64 {
    let begin = Instant::now();
    let (mut least, mut batch) = (f64::MAX, 1_u32);
    while begin.elapsed() < LOOKING {
        let start = Instant::now();
        (0..batch).for_each(|_| call());
        let took = start.elapsed();
        if took < Duration::from_micros(200) {
            batch *= 2;
        } else {
            least = least.min(took.as_secs_f64() * 1e6 / f64::from(batch));
        }
    }
    least
}

/// JSON as an application's: repeated names, numbers that are not.
fn json(size: usize) -> Vec<u8> {
    let mut text = String::from("[");
    let mut number = 1_u64;
    while text.len() < size {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, user, price) = (number >> 40, (number >> 32) % 100, (number >> 20) % 10_000);
        text += &format!("{{\"id\":{id},\"user\":\"user-{user}\",\"price\":{price}.25,\"active\":true}},");
    }
    text.truncate(size);
    text.into_bytes()
}

/// English, as this project writes it.
fn prose(size: usize) -> Vec<u8> {
    const TEXT: &str = concat!(include_str!("../../../ARCHITECTURE.md"), include_str!("../../../CHANGELOG.md"));
    TEXT.bytes().cycle().skip(400).take(size).collect()
}

type Compress = Box<dyn FnMut(&[u8], &mut [u8]) -> usize>;

fn compressors() -> Vec<(String, Compress)> {
    let mut all: Vec<(String, Compress)> = Vec::new();
    // What the engine uses, in memory of its own, and `None` where it takes no message so long.
    let mut whole = Deflater::whole(15);
    all.push((
        "whole, the engine's".to_owned(),
        Box::new(move |input, _| whole.message(input).map_or(0, |message| black_box(message).len())),
    ));
    for level in [1, 2, 6] {
        let mut codec = Deflate::new_with_config(DeflateConfig { level, window_bits: -15, ..DeflateConfig::default() });
        all.push((
            format!("zlib-rs l{level}"),
            Box::new(move |input, output| {
                codec.reset();
                codec.compress(input, output, DeflateFlush::SyncFlush).expect("it compresses");
                codec.total_out() as usize - TAIL.len()
            }),
        ));
    }
    for (level, window, memory) in
        [(1, 15, 8), (1, 15, 6), (1, 15, 5), (1, 12, 5), (1, 12, 4), (1, 11, 5), (6, 15, 8), (6, 12, 5)]
    {
        let mut codec = zlib::Compressor::new(level, window, memory).expect("there is memory");
        all.push((
            format!("zlib l{level} w{window} m{memory}"),
            Box::new(move |input, output| {
                codec.reset();
                codec.compress(input, output).made - TAIL.len()
            }),
        ));
    }
    for level in [1, 6] {
        // One final block, which a message may be (RFC 7692, section 7.2.3.4), though few peers have ever seen one.
        let mut codec = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(level).expect("a level"));
        all.push((
            format!("libdeflate l{level}"),
            Box::new(move |input, output| codec.deflate_compress(input, output).expect("there is room") + 1),
        ));
    }
    all
}

type Decompress = Box<dyn FnMut(&[u8], &mut [u8]) -> usize>;

fn decompressors() -> Vec<(&'static str, Decompress)> {
    let mut rust = Inflate::new(false, 15);
    let mut c = zlib::Decompressor::new(15).expect("there is memory");
    let mut one_shot = libdeflater::Decompressor::new();
    vec![
        (
            "zlib-rs",
            Box::new(move |input, output| {
                rust.reset(false);
                rust.decompress(input, output, InflateFlush::SyncFlush).expect("it is DEFLATE");
                rust.total_out() as usize
            }),
        ),
        (
            "zlib",
            Box::new(move |input, output| {
                c.reset();
                c.decompress(input, output).made
            }),
        ),
        (
            "libdeflate",
            Box::new(move |input, output| one_shot.deflate_decompress(input, output).expect("it ends in a final block")),
        ),
    ]
}

/// The compressed message, and the same with an end that a one-shot decompressor needs.
fn compressed(payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut out = vec![0; 2 * payload.len() + 100];
    let made = zlib::Compressor::new(6, 15, 8).expect("there is memory").compress(payload, &mut out).made;
    out.truncate(made);
    let ended = [&out[..], &[0x03, 0x00]].concat();
    (out, ended)
}

/// The sizes that a dedicated compressor may have: its name, window and memory level.
const CONTEXTS: [(&str, u8, u8); 8] = [
    ("3KB", 9, 1),
    ("4KB", 9, 2),
    ("8KB", 10, 3),
    ("16KB", 11, 4),
    ("32KB", 12, 5),
    ("64KB", 13, 6),
    ("128KB", 14, 7),
    ("256KB, dedicated", 15, 8),
];
const CONTEXT_SIZES: [usize; 5] = [64, 256, 1024, 4096, 16 * 1024];
/// How much goes through a context before it is repeated: more than the largest window, so that nothing is found of the time before.
const STREAM: usize = 128 * 1024;

/// One message of a connection that has sent others before: the time to make and to read it, and its bytes.
fn in_contexts(make: fn(usize) -> Vec<u8>) {
    let header = || CONTEXT_SIZES.iter().for_each(|size| print!("{size:>22}"));
    print!("{:<20}", "");
    header();
    for (name, window, memory) in CONTEXTS {
        print!("\n{name:<20}");
        for size in CONTEXT_SIZES {
            let (stream, count) = (make(STREAM), STREAM / size);
            let mut compressor = zlib::Compressor::new(1, window, memory).expect("there is memory");
            let mut decompressor = zlib::Decompressor::new(window).expect("there is memory");
            let (mut out, mut back, mut total) = (vec![0; 2 * size + 100], vec![0; size + 1], 0);
            // The first messages fill the window; what they become is not told.
            let packed: Vec<_> = [&stream[..], &stream[..]]
                .concat()
                .chunks(size)
                .map(|message| {
                    let made = compressor.compress(message, &mut out).made;
                    out[..made].to_vec()
                })
                .collect();
            packed[count..].iter().for_each(|message| total += message.len() - TAIL.len());
            packed[..count].iter().for_each(|message| assert_eq!(decompressor.decompress(message, &mut back).made, size));
            let there = time(|| {
                stream.chunks(size).for_each(|message| {
                    black_box(compressor.compress(black_box(message), &mut out));
                })
            });
            let and_back = time(|| {
                packed[count..].iter().for_each(|message| {
                    black_box(decompressor.decompress(black_box(message), &mut back));
                })
            });
            let each = |took: f64| took / count as f64;
            print!("{:>9.2} {:>6.2} {:>5}", each(there), each(and_back), total / count);
        }
    }
    println!();
}

fn main() {
    for (kind, make) in [("JSON", json as fn(usize) -> Vec<u8>), ("text", prose)] {
        println!("\n{kind}, compressing: us, bytes");
        print!("{:<20}", "");
        SIZES.iter().for_each(|size| print!("{size:>14}"));
        for (name, mut codec) in compressors() {
            print!("\n{name:<20}");
            for &size in SIZES {
                let payload = make(size);
                let mut out = vec![0; 2 * size + 100];
                let length = codec(&payload, &mut out);
                let took = time(|| {
                    black_box(codec(black_box(&payload), &mut out));
                });
                print!("{took:>8.2},{length:>5}");
            }
        }
        println!("\n\n{kind}, decompressing: us");
        for (name, mut codec) in decompressors() {
            print!("{name:<20}");
            for &size in SIZES {
                let payload = make(size);
                let (open, ended) = compressed(&payload);
                let input = if name == "libdeflate" { &ended } else { &open };
                let mut out = vec![0; size + 1];
                assert_eq!(codec(input, &mut out), size);
                let took = time(|| {
                    black_box(codec(black_box(input), &mut out));
                });
                print!("{took:>8.2}{:>6}", "");
            }
            println!();
        }
        println!("\n{kind}, in a context: us to compress, us to decompress, bytes");
        in_contexts(make);
    }
}
