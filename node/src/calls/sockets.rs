//! What JavaScript calls of a socket.

use tidewire::Compress;
use tidewire::engine::{LocalSocket, check_close, check_control};

use super::{Addon, Data, socket, status, text, thrown, with_data, with_socket};
use crate::napi::Callback;
use crate::native;

pub(super) const FUNCTIONS: &[(&str, Callback)] = &[
    ("send", send),
    ("sendSmall", send_small),
    ("sendCompressed", send_compressed),
    ("publish", publish),
    ("subscribe", subscribe),
    ("unsubscribe", unsubscribe),
    ("isSubscribed", is_subscribed),
    ("subscriptions", subscriptions),
    ("close", close),
    ("checkClose", check_close_arguments),
    ("terminate", terminate),
    ("control", control),
    ("checkControl", check_control_length),
    ("pause", pause),
    ("readyState", ready_state),
    ("bufferedAmount", buffered_amount),
];

native!(
    /// send(seat, data): bytes, -1 or 0.
    send,
    2,
    |env, [seat, data]| {
        let sent = with_socket(env, seat, |socket| with_data(env, data, |data| socket.send(data)));
        status(env, sent.flatten())
    }
);

native!(
    /// sendSmall(seat, length): as send, of bytes that are in the slab.
    send_small,
    2,
    |env, [seat, length]| {
        let slab = &env.instance::<Addon>()?.replies.get()?.slab;
        let sent = with_socket(env, seat, |socket| slab.with_scratch(length.as_u32(env) as usize, |bytes| socket.send(bytes)));
        status(env, sent)
    }
);

native!(
    /// sendCompressed(seat, data): as send, compressed where that was agreed on.
    send_compressed,
    2,
    |env, [seat, data]| {
        let send = |socket: &LocalSocket| with_data(env, data, |data| socket.send_with(data, Compress::Yes));
        status(env, with_socket(env, seat, send).flatten())
    }
);

native!(
    /// publish(seat, topic, data, compress): as send, the worst subscriber's answer.
    publish,
    4,
    |env, [seat, topic, data, compress]| {
        let (topic, compress) = (text(env, topic), Compress::from(compress.is_true(env)));
        let publish = |socket: &LocalSocket| with_data(env, data, |data| socket.publish_with(&topic, data, compress));
        let sent = with_socket(env, seat, publish);
        status(env, sent.flatten())
    }
);

native!(
    /// subscribe(seat, topic)
    subscribe,
    2,
    |env, [seat, topic]| {
        let topic = text(env, topic);
        thrown(env, with_socket(env, seat, |socket| socket.subscribe(&topic))?).map(|is| env.boolean(is))
    }
);

native!(
    /// unsubscribe(seat, topic)
    unsubscribe,
    2,
    |env, [seat, topic]| {
        let topic = text(env, topic);
        thrown(env, with_socket(env, seat, |socket| socket.unsubscribe(&topic))?).map(|is| env.boolean(is))
    }
);

native!(
    /// isSubscribed(seat, topic)
    is_subscribed,
    2,
    |env, [seat, topic]| {
        let topic = text(env, topic);
        with_socket(env, seat, |socket| socket.is_subscribed(&topic)).map(|is| env.boolean(is))
    }
);

native!(
    /// subscriptions(seat): names.
    subscriptions,
    1,
    |env, [seat]| {
        let names = with_socket(env, seat, LocalSocket::subscriptions)?;
        Some(env.strings(names.iter().map(|name| &**name)))
    }
);

native!(
    /// close(seat, code, reason): `close` has run when it returns.
    close,
    3,
    |env, [seat, code, reason]| {
        let code = u16::try_from(code.as_u32(env)).unwrap_or(u16::MAX);
        thrown(env, socket(env, seat)?.close(code, &text(env, reason)));
        None
    }
);

native!(
    /// checkClose(code, reason): throws what `close` would.
    check_close_arguments,
    2,
    |env, [code, reason]| {
        let code = u16::try_from(code.as_u32(env)).unwrap_or(u16::MAX);
        thrown(env, check_close(code, &text(env, reason)));
        None
    }
);

native!(
    /// checkControl(length): throws what `control` would for so many bytes.
    check_control_length,
    1,
    |env, [length]| {
        thrown(env, check_control(length.as_u32(env) as usize));
        None
    }
);

native!(
    /// terminate(seat)
    terminate,
    1,
    |env, [seat]| {
        socket(env, seat)?.terminate();
        None
    }
);

native!(
    /// control(seat, isPing, data): as send.
    control,
    3,
    |env, [seat, ping, data]| {
        let ping = ping.is_true(env);
        let send = |socket: &LocalSocket, data: Data<'_>| if ping { socket.ping(data.1) } else { socket.pong(data.1) };
        let sent = with_socket(env, seat, |socket| with_data(env, data, |data| send(socket, data))).flatten();
        status(env, thrown(env, sent.transpose()).flatten())
    }
);

native!(
    /// pause(seat, paused): whether it is not read.
    pause,
    2,
    |env, [seat, paused]| {
        let paused = paused.is_true(env);
        with_socket(env, seat, |socket| if paused { socket.pause() } else { socket.resume() });
        None
    }
);

native!(
    /// readyState(seat): 1, 2 or 3.
    ready_state,
    1,
    |env, [seat]| with_socket(env, seat, |socket| env.uint(socket.ready_state() as u32))
);

native!(
    /// bufferedAmount(seat): bytes that the kernel has not taken.
    buffered_amount,
    1,
    |env, [seat]| with_socket(env, seat, |socket| env.number(socket.buffered_amount() as f64))
);
