//! Many bytes, many sockets, and interest that changes meanwhile: where a backend that receives ahead could lose something.

use super::*;
use crate::io::Sending;

/// Bytes of which each place is known.
fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 7 + place / 251 + seed) as u8).collect()
}

/// Receives until there is nothing left, and says whether that is the end.
fn drain(io: &mut impl Io, socket: &Socket, heard: &mut Vec<u8>) -> bool {
    loop {
        match recv(io, socket) {
            Ok(bytes) if bytes.is_empty() => return true,
            Ok(bytes) => heard.extend(bytes),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return false;
            }
        }
    }
}

/// Connections that are read, under tokens from 10 on.
fn connections(io: &mut impl Io, count: usize) -> Vec<(Socket, TcpStream)> {
    let pairs: Vec<_> = (0..count).map(|_| connection(io)).collect();
    for (number, (socket, _)) in pairs.iter().enumerate() {
        io.watch(socket, Token(10 + number as u64), Interest::READ).unwrap();
    }
    assert_eq!(due(io), []);
    pairs
}

/// Waits until `done`, which is asked after every wait.
fn wait_until<I: Io>(io: &mut I, mut done: impl FnMut(&mut I, &[Event]) -> bool) {
    let start = Instant::now();
    let mut events = Vec::new();
    while !done(io, &events) {
        assert!(start.elapsed() < PATIENCE, "it does not happen");
        io.wait(Some(Duration::from_millis(100)), &mut events).unwrap();
    }
}

pub(super) fn a_batch_is_as_many_sends<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    // Nothing moves on by itself behind a unix socket, as it does in TCP.
    let (full, _slow) = UnixStream::pair().unwrap();
    let full = io.adopt(full.into()).unwrap();
    while send(&mut io, &full, &[0; 4096]).is_ok() {}
    let (lost, gone) = connection(&mut io);
    socket2::SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
    drop(gone);
    let stale = Socket::from_number(i32::MAX);
    // More than a ring takes at once.
    let pairs = connections(&mut io, 300);

    let words: Vec<_> = (0..pairs.len()).map(|number| [pattern(number, 1 + number % 3), pattern(7, number)]).collect();
    let slices: Vec<Vec<_>> = words.iter().map(|words| words.iter().map(|word| IoSlice::new(word)).collect()).collect();
    let one = [IoSlice::new(b"one")];
    let mut sends: Vec<_> = [&full, &lost, &stale].into_iter().map(|socket| Sending::new(socket, &one)).collect();
    // Every other socket has one slice, the rest two.
    let some = |number: usize| &slices[number][..1 + number % 2];
    sends.extend(pairs.iter().enumerate().map(|(number, (socket, _))| Sending::new(socket, some(number))));
    io.send_each(&mut sends);
    let mut answers = sends.into_iter().map(|sending| sending.sent);
    let refused: Vec<_> = answers.by_ref().take(3).map(|answer| answer.unwrap_err().kind()).collect();
    assert_eq!(refused[0], ErrorKind::WouldBlock);
    assert!(matches!(refused[1], ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{refused:?}");
    assert_eq!(refused[2], ErrorKind::InvalidInput);
    for (number, answer) in answers.enumerate() {
        let expected = words[number][..1 + number % 2].concat();
        assert_eq!(answer.unwrap(), expected.len(), "to {number}");
        let mut heard = vec![0; expected.len()];
        (&pairs[number].1).read_exact(&mut heard).unwrap();
        assert_eq!(heard, expected, "by {number}");
    }
}

pub(super) fn a_close_needs_no_further_wait<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let mut pairs = connections(&mut io, 2);
    let (aborted, mut stream) = pairs.remove(1);
    io.abort(aborted);
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let (closed, mut stream) = pairs.remove(0);
    io.close(closed);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

pub(super) fn an_end_is_told_as_long_as_it_is_watched_for<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let (socket, mut stream) = connection(&mut io);
    io.watch(&socket, SERVER, Interest::READ).unwrap();
    stream.write_all(b"bye").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut heard = Vec::new();
    wait_until(&mut io, |io, events| events.iter().any(|event| event.readable) && drain(io, &socket, &mut heard));
    assert_eq!(heard, b"bye");
    for _ in 0..3 {
        assert!(event(&mut io, SERVER).readable);
        assert_eq!(recv(&mut io, &socket).unwrap(), b"");
    }
    io.watch(&socket, SERVER, Interest::NONE).unwrap();
    wait_until(&mut io, |io, _| due(io).is_empty());
    drop(stream);
    send(&mut io, &socket, b"to nobody: the answer is a reset").unwrap();
    assert!(event(&mut io, SERVER).hangup, "behind the end a reset is a hang-up");
}

pub(super) fn what_came_before_a_pause_is_kept<I: Io>(new: impl Fn() -> I) {
    let mut io = new();
    let mut pairs = connections(&mut io, 40);
    for round in 0..5 {
        for (number, (_, stream)) in pairs.iter_mut().enumerate() {
            stream.write_all(&pattern(number + round, 100 + number)).unwrap();
        }
        event(&mut io, Token(10));
        for (number, (socket, _)) in pairs.iter().enumerate() {
            io.watch(socket, Token(10 + number as u64), Interest::NONE).unwrap();
        }
        wait_until(&mut io, |io, _| due(io).is_empty());
        for (number, (socket, _)) in pairs.iter().enumerate() {
            io.watch(socket, Token(10 + number as u64), Interest::READ).unwrap();
        }
        let mut heard = vec![Vec::new(); pairs.len()];
        wait_until(&mut io, |io, events| {
            for index in events.iter().map(|event| event.token.0 as usize - 10) {
                drain(io, &pairs[index].0, &mut heard[index]);
            }
            heard.iter().enumerate().all(|(number, heard)| heard.len() == 100 + number)
        });
        for (number, heard) in heard.into_iter().enumerate() {
            assert_eq!(heard, pattern(number + round, 100 + number), "of {number}, round {round}");
        }
    }
}

pub(super) fn interest_that_changes_loses_nothing<I: Io>(new: impl Fn() -> I) {
    const LENGTH: usize = 3_000_000;
    for seed in 1..6_usize {
        let mut io = new();
        let (socket, mut stream) = connection(&mut io);
        let sender = thread::spawn(move || {
            let all = pattern(seed, LENGTH);
            let mut rest = &all[..];
            let mut size = seed;
            while !rest.is_empty() {
                size = (size * 1_103 + 12_345) % 70_000;
                let (piece, others) = rest.split_at(rest.len().min(1 + size));
                stream.write_all(piece).unwrap();
                rest = others;
            }
            stream
        });
        let mut dice = seed;
        let mut heard = Vec::new();
        let mut events = Vec::new();
        let start = Instant::now();
        while heard.len() < LENGTH {
            assert!(start.elapsed() < PATIENCE, "seed {seed}: {} of {LENGTH}", heard.len());
            dice = (dice * 7_621 + 1) % 32_768;
            let interest = [Interest::READ, Interest::READ, Interest::NONE, Interest::WRITE, Interest::BOTH][dice / 64 % 5];
            io.watch(&socket, SERVER, interest).unwrap();
            io.wait(Some(Duration::from_micros((dice % 300) as u64)), &mut events).unwrap();
            if events.iter().any(|event| event.readable) {
                assert!(interest.readable, "nobody asked for it");
                match recv(&mut io, &socket) {
                    Ok(bytes) => heard.extend(bytes),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
        }
        assert!(heard == pattern(seed, LENGTH), "seed {seed}");
        drop(sender.join().unwrap());
        io.close(socket);
    }
}

pub(super) fn many_that_talk_at_once_are_all_heard<I: Io>(new: impl Fn() -> I) {
    const PEERS: usize = 700;
    let mut io = new();
    let mut pairs = connections(&mut io, PEERS);
    for (number, (_, stream)) in pairs.iter_mut().enumerate() {
        stream.write_all(&pattern(number, 500)).unwrap();
        stream.write_all(&pattern(number + 1, 500)).unwrap();
    }
    let mut heard = vec![Vec::new(); PEERS];
    wait_until(&mut io, |io, events| {
        for index in events.iter().map(|event| event.token.0 as usize - 10) {
            heard[index].extend(recv(io, &pairs[index].0).unwrap());
        }
        heard.iter().all(|heard| heard.len() == 1000)
    });
    for (number, heard) in heard.into_iter().enumerate() {
        assert_eq!(heard, [pattern(number, 500), pattern(number + 1, 500)].concat(), "of {number}");
    }
}

pub(super) fn much_is_echoed_both_ways<I: Io>(new: impl Fn() -> I) {
    const LENGTH: usize = 5 << 20;
    let mut io = new();
    let (socket, mut stream) = connection(&mut io);
    io.watch(&socket, SERVER, Interest::READ).unwrap();
    let mut reader = stream.try_clone().unwrap();
    let writer = thread::spawn(move || stream.write_all(&pattern(3, LENGTH)).unwrap());
    let listener = thread::spawn(move || {
        let mut all = vec![0; LENGTH];
        reader.read_exact(&mut all).unwrap();
        all == pattern(3, LENGTH)
    });
    let (mut waiting, mut sent) = (Vec::new(), 0);
    wait_until(&mut io, |io, events| {
        if events.iter().any(|event| event.readable) {
            match recv(io, &socket) {
                Ok(bytes) => waiting.extend(bytes),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        while !waiting.is_empty() {
            let Ok(count) = send(io, &socket, &waiting) else { break };
            waiting.drain(..count);
            sent += count;
        }
        io.watch(&socket, SERVER, if waiting.is_empty() { Interest::READ } else { Interest::WRITE }).unwrap();
        sent == LENGTH
    });
    writer.join().unwrap();
    assert!(listener.join().unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn a_ring_does_not_release_what_would_be_missed() {
    if !has_rings() {
        return;
    }
    let mut io = crate::uring::Uring::new().unwrap();
    let (socket, mut stream) = connection(&mut io);
    io.watch(&socket, SERVER, Interest::READ).unwrap();
    assert_eq!(due(&mut io), []);
    let (quiet, mut other) = connection(&mut io);
    io.watch(&quiet, CLIENT, Interest::READ).unwrap();
    stream.write_all(b"x").unwrap();
    event(&mut io, SERVER);
    assert!(io.release(socket).is_err());
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "it is closed");

    let released = TcpStream::from(io.release(quiet).unwrap());
    other.write_all(b"y").unwrap();
    released.set_nonblocking(false).unwrap();
    let mut heard = [0; 1];
    (&released).read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"y", "and this one is not the ring's any more");
}

#[cfg(target_os = "linux")]
#[test]
fn what_waits_for_the_end_of_a_pause_takes_its_own_size() {
    if !has_rings() {
        return;
    }
    let mut io = crate::uring::Uring::new().unwrap();
    let (socket, mut stream) = connection(&mut io);
    io.watch(&socket, SERVER, Interest::READ).unwrap();
    stream.write_all(b"abc").unwrap();
    event(&mut io, SERVER);
    io.watch(&socket, SERVER, Interest::NONE).unwrap();
    assert_eq!(due(&mut io), []);
    let buffer = io.recv(&socket).unwrap();
    assert_eq!((&*buffer, buffer.capacity()), (&b"abc"[..], 3));
}

#[cfg(target_os = "linux")]
#[test]
fn who_sends_much_is_received_in_large_pieces() {
    if !has_rings() {
        return;
    }
    let mut io = crate::uring::Uring::new().unwrap();
    let (socket, mut stream) = connection(&mut io);
    io.watch(&socket, SERVER, Interest::READ).unwrap();
    let sender = thread::spawn(move || stream.write_all(&pattern(1, 8 << 20)).map(|()| stream));
    let (mut heard, mut largest) = (0, 0);
    wait_until(&mut io, |io, events| {
        if events.iter().any(|event| event.readable)
            && let Ok(buffer) = io.recv(&socket)
        {
            heard += buffer.len();
            largest = largest.max(buffer.capacity());
            io.give_back(buffer);
        }
        heard == 8 << 20
    });
    assert_eq!(largest, crate::readiness::RECEIVE_SIZE);
    drop(sender.join().unwrap());
}
