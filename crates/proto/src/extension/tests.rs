//! Negotiation against tables: RFC 7692, section 7.1, and what Bun 1.4.5 and browsers send.

use super::*;

const SHARED: Policy = Policy { send: Direction::ALONE, receive: Direction::ALONE };
const DEDICATED: Policy = Policy { send: Direction::TAKEOVER, receive: Direction::TAKEOVER };
const SMALL: Policy =
    Policy { send: Direction { takeover: true, window_bits: 10 }, receive: Direction { takeover: true, window_bits: 9 } };

fn lines(lines: &[&str]) -> Vec<HeaderValue> {
    lines.iter().map(|line| HeaderValue::from_str(line).expect("a header value")).collect()
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).expect("ASCII")
}

/// The answer to offers, without the extension's name; `-` where all are declined.
fn answer(policy: &Policy, offers: &[&str]) -> String {
    match choose(&lines(offers), policy) {
        Some(agreement) => text(|out| agreement.write(out)).replacen(NAME, "", 1).trim_start_matches("; ").to_owned(),
        None => "-".to_owned(),
    }
}

fn offer(policy: &Policy, parameters: &str) -> String {
    answer(policy, &[&format!("{NAME}{parameters}")])
}

#[test]
fn contract_24_answers_say_what_the_policy_needs_and_the_offer_asks() {
    let cases = [
        ("", "server_no_context_takeover; client_no_context_takeover", "", "server_max_window_bits=10"),
        (
            "; server_no_context_takeover",
            "server_no_context_takeover; client_no_context_takeover",
            "server_no_context_takeover",
            "server_no_context_takeover; server_max_window_bits=10",
        ),
        (
            "; client_no_context_takeover",
            "server_no_context_takeover; client_no_context_takeover",
            "client_no_context_takeover",
            "client_no_context_takeover; server_max_window_bits=10",
        ),
        (
            "; server_max_window_bits=8",
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=8",
            "server_max_window_bits=8",
            "server_max_window_bits=8",
        ),
        (
            "; server_max_window_bits=15",
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15",
            "server_max_window_bits=15",
            "server_max_window_bits=10",
        ),
        (
            "; client_max_window_bits",
            "server_no_context_takeover; client_no_context_takeover",
            "",
            "server_max_window_bits=10; client_max_window_bits=9",
        ),
        (
            "; client_max_window_bits=12",
            "server_no_context_takeover; client_no_context_takeover; client_max_window_bits=12",
            "client_max_window_bits=12",
            "server_max_window_bits=10; client_max_window_bits=9",
        ),
        (
            "; client_max_window_bits=8",
            "server_no_context_takeover; client_no_context_takeover; client_max_window_bits=8",
            "client_max_window_bits=8",
            "server_max_window_bits=10; client_max_window_bits=8",
        ),
        (
            ";server_max_window_bits = \"1\\0\"; client_max_window_bits=\"15\"",
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
            "server_max_window_bits=10",
            "server_max_window_bits=10; client_max_window_bits=9",
        ),
    ];
    for (parameters, shared, dedicated, small) in cases {
        assert_eq!(offer(&SHARED, parameters), shared, "{parameters}");
        assert_eq!(offer(&DEDICATED, parameters), dedicated, "{parameters}");
        assert_eq!(offer(&SMALL, parameters), small, "{parameters}");
    }
}

/// Parameters that make an offer one to decline.
const INVALID: [&str; 22] = [
    "; unknown",
    "; server_max_window_bits",
    "; server_max_window_bits=7",
    "; server_max_window_bits=16",
    "; server_max_window_bits=0",
    "; server_max_window_bits=08",
    "; server_max_window_bits=99",
    "; server_max_window_bits=-9",
    "; server_max_window_bits=1e1",
    "; server_max_window_bits=\"\"",
    "; server_max_window_bits=",
    "; client_max_window_bits=7",
    "; client_max_window_bits=16",
    "; client_max_window_bits=",
    "; server_no_context_takeover=1",
    "; client_no_context_takeover=true",
    "; server_no_context_takeover; server_no_context_takeover",
    "; client_no_context_takeover; client_no_context_takeover",
    "; server_max_window_bits=10; server_max_window_bits=10",
    "; client_max_window_bits; client_max_window_bits=10",
    "; Server_No_Context_Takeover",
    ";",
];

#[test]
fn contract_23_an_invalid_offer_is_declined_and_the_next_one_that_fits_is_taken() {
    for invalid in INVALID {
        assert_eq!(offer(&DEDICATED, invalid), "-", "{invalid}");
        let first = format!("{NAME}{invalid}");
        let second = "permessage-deflate; server_max_window_bits=11";
        let third = "permessage-deflate; server_max_window_bits=12";
        assert_eq!(answer(&DEDICATED, &[&format!("{first}, {second}, {third}")]), "server_max_window_bits=11", "{invalid}");
        assert_eq!(answer(&DEDICATED, &[&first, "other; x, ,", second, third]), "server_max_window_bits=11", "{invalid}");
    }
    for other in ["", "x-webkit-deflate-frame", "permessage-deflate2", "Permessage-Deflate", "foo, bar; baz=permessage-deflate"] {
        assert_eq!(answer(&DEDICATED, &[other]), "-", "{other}");
    }
    assert_eq!(answer(&DEDICATED, &[]), "-");
}

#[test]
fn what_is_agreed_on_is_what_the_answer_says() {
    let offers = [
        "",
        "; server_max_window_bits=8",
        "; client_max_window_bits=8",
        "; client_max_window_bits",
        "; server_no_context_takeover",
    ];
    for policy in [SHARED, DEDICATED, SMALL] {
        for parameters in offers {
            let agreement = choose(&lines(&[&format!("{NAME}{parameters}")]), &policy).expect("a valid offer");
            let answer = text(|out| agreement.write(out));
            assert_eq!(agreement.send.takeover, !answer.contains("server_no_context_takeover"), "{parameters} -> {answer}");
            assert_eq!(agreement.receive.takeover, !answer.contains("client_no_context_takeover"), "{parameters} -> {answer}");
            assert!(
                agreement.send.window_bits == 15
                    || answer.contains(&format!("server_max_window_bits={}", agreement.send.window_bits))
            );
            let bits = agreement.receive.window_bits;
            assert!(bits == 15 || answer.contains(&format!("client_max_window_bits={bits}")), "{parameters} -> {answer}");
        }
    }
}

fn judge_answer(policy: &Policy, answer: &str) -> Result<Option<Agreement>, AnswerError> {
    judge(&lines(&[answer]), Some(&Proposal::new(*policy)))
}

#[test]
fn offers_say_what_the_client_can() {
    let write = |policy| text(|out| Proposal::new(policy).write(out));
    assert_eq!(write(DEDICATED), "permessage-deflate; client_max_window_bits");
    assert_eq!(
        write(SHARED),
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
    );
    assert_eq!(write(SMALL), "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10");
}

#[test]
fn the_two_roles_understand_each_other() {
    for client in [SHARED, DEDICATED, SMALL] {
        for server in [SHARED, DEDICATED, SMALL] {
            let offer = text(|out| Proposal::new(client).write(out));
            let theirs = choose(&lines(&[&offer]), &server).expect("our own offer is valid");
            let answer = text(|out| theirs.write(out));
            let ours = judge_answer(&client, &answer).expect("our own answer is valid").expect("it is one");
            assert_eq!((ours.send, ours.receive), (theirs.receive, theirs.send), "{offer} -> {answer}");
        }
    }
}

#[test]
fn hardening_6_an_answer_out_of_range_fails_the_handshake() {
    for invalid in INVALID {
        assert_eq!(judge_answer(&DEDICATED, &format!("{NAME}{invalid}")), Err(AnswerError::Parameter), "{invalid}");
    }
    for side in ["server", "client"] {
        for value in ["0", "7", "16", "99", "", "\"\"", "256", "-1"] {
            let answer = format!("{NAME}; {side}_max_window_bits={value}");
            assert_eq!(judge_answer(&DEDICATED, &answer), Err(AnswerError::Parameter), "{answer}");
        }
        let bare = format!("{NAME}; {side}_max_window_bits");
        assert_eq!(judge_answer(&DEDICATED, &bare), Err(AnswerError::Parameter), "{bare}");
        let repeated = format!("{NAME}; {side}_max_window_bits=10; {side}_max_window_bits=10");
        assert_eq!(judge_answer(&DEDICATED, &repeated), Err(AnswerError::Parameter), "{repeated}");
    }
}

#[test]
fn contract_29_an_answer_to_what_was_not_asked_fails_the_handshake() {
    let one = lines(&[NAME]);
    assert_eq!(judge(&one, None), Err(AnswerError::NotOffered));
    assert_eq!(judge(&lines(&["foo"]), Some(&Proposal::new(SHARED))), Err(AnswerError::NotOffered));
    assert_eq!(judge_answer(&DEDICATED, "permessage-deflate, permessage-deflate"), Err(AnswerError::Repeated));
    assert_eq!(judge(&lines(&[NAME, NAME]), Some(&Proposal::new(DEDICATED))), Err(AnswerError::Repeated));
    assert_eq!(judge_answer(&DEDICATED, "permessage-deflate, foo"), Err(AnswerError::NotOffered));
    for nothing in ["", " , "] {
        assert_eq!(judge_answer(&DEDICATED, nothing), Ok(None));
        assert_eq!(judge(&lines(&[nothing]), None), Ok(None));
    }
    // What was asked for and is not in the answer, or is more than was asked for.
    assert_eq!(judge_answer(&SHARED, NAME), Err(AnswerError::Parameter));
    assert_eq!(judge_answer(&SMALL, NAME), Err(AnswerError::Parameter));
    assert_eq!(judge_answer(&SMALL, "permessage-deflate; server_max_window_bits=10"), Err(AnswerError::Parameter));
    let more = "permessage-deflate; server_max_window_bits=9; client_max_window_bits=11";
    assert_eq!(judge_answer(&SMALL, more), Err(AnswerError::Parameter));
    // A server may ask for more restraint than was offered.
    let agreed =
        judge_answer(&DEDICATED, "permessage-deflate; client_no_context_takeover; client_max_window_bits=8").expect("valid");
    assert_eq!(agreed.map(|agreed| agreed.send), Some(Direction { takeover: false, window_bits: 8 }));
}
