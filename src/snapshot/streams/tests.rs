//! What a file says and what a snapshot knows are one thing under two names: none may drift from the other.

use super::*;

#[test]
fn names_are_the_same() {
    let modes = config::ResumeMode::ALL;
    assert_eq!(modes.map(|of| mode(of).label()), modes.map(|of| of.label()));
    let formats = config::Format::ALL;
    assert_eq!(formats.map(|of| format(of).label()), formats.map(|of| of.label()));
}

#[test]
fn defaults_come_through() {
    let built = streams(config::Streams::default());
    let (every, most) = (Duration::from_secs(15), Duration::from_secs(45));
    assert_eq!(built.heartbeat, Some(Heartbeat { every, most }));
    assert_eq!(built.commit_after, Duration::from_secs(5));
    assert_eq!(built.reconnect, None);
    assert_eq!(built.slow_reader, SlowReader::Wait);
    let rule = ResumeRule {
        window: Duration::from_secs(30),
        bytes_max: 262_144,
        events_max: 16_384,
        age: Duration::from_secs(300),
    };
    assert_eq!(built.resume, Resume { mode: ResumeMode::OnRequest, rule });
    assert!(!built.continue_on_disconnect);
}

#[test]
fn who_says_whether_a_stream_is_kept() {
    use ResumeMode::*;
    let Resume { rule, .. } = streams(config::Streams::default()).resume;
    for (mode, tenant, is_asked_for, keeps) in [
        (OnRequest, None, false, false),
        (OnRequest, None, true, true),
        (OnRequest, Some(true), false, true),
        (OnRequest, Some(false), true, false),
        (Always, None, false, true),
        (Always, Some(true), false, true),
        (Always, Some(false), true, false),
        (Never, None, true, false),
        (Never, Some(true), true, false),
        (Never, Some(false), true, false),
    ] {
        let resume = Resume { mode, rule };
        let keeper = resume.kept_by(tenant, is_asked_for);
        assert_eq!(keeper.is_ok(), keeps, "{mode:?} {tenant:?} {is_asked_for} {keeper:?}");
        assert_eq!(resume.keeps(tenant, is_asked_for), keeps);
    }
}
