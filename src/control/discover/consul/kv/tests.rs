//! Keys of an agent that answers what it is told to.

use std::cell::RefCell;

use super::*;
use crate::control::discover::consul::tests::Script;
use crate::control::discover::consul::tests::answer;
use crate::control::discover::consul::tests::does_not_say_who_may;
use crate::control::fetch::tests::on_runtime;

fn pair(key: &str, value: Option<&str>) -> String {
    let value = value.map(|value| STANDARD.encode(value));
    serde_json::json!({ "Key": key, "Value": value, "ModifyIndex": 12, "Flags": 0 }).to_string()
}

#[test]
fn all_keys_below_the_prefix_are_told_as_they_change() {
    let folder = pair("ringway/models/", None);
    let model = pair("ringway/models/a", Some("{}"));
    let empty = pair("ringway/tenants/b", None);
    let script = Script::new(vec![
        answer("404 Not Found", "3", ""),
        does_not_say_who_may(),
        answer("200 OK", "4", &format!("[{folder},{model},{empty}]")),
        answer("200 OK", "5", r#"[{"Key":"ringway/models/a","Value":"?","ModifyIndex":1}]"#),
        answer("403 Forbidden", "5", "ACL not found"),
    ]);
    let told = RefCell::new(Vec::new());
    let told_all = tokio::sync::Notify::new();
    let tell = |answer| {
        told.borrow_mut().push(answer);
        if told.borrow().len() == 4 {
            told_all.notify_one();
        }
    };
    on_runtime(async {
        tokio::select! {
            () = watch_config(script.access(), "ringway/".to_owned(), tell) => panic!("it ends"),
            () = told_all.notified() => {}
        }
    });
    let told = told.into_inner();
    assert_eq!(told[0], Ok(Vec::new()));
    let entries =
        [("models/a", b"{}".to_vec()), ("tenants/b", Vec::new())].map(|(k, v)| (k.to_owned(), v));
    assert_eq!(told[1], Ok(entries.to_vec()));
    assert!(told[2].as_ref().unwrap_err().contains("\"ringway/models/a\" is no base64"));
    assert_eq!(told[3], Err("answered with 403: ACL not found".to_owned()));
    let mut asked = script.asked();
    let may = asked.remove(1);
    assert!(may.contains(r#""Resource":"key","Segment":"ringway/""#), "{may}");
    assert!(asked[0].starts_with("GET /v1/kv/ringway/?recurse=true&index=0&wait="), "{asked:?}");
    assert!(asked[1].contains("&index=3&"), "{asked:?}");
    assert!(asked[3].contains("&index=0&"), "after a failure: {asked:?}");
}

#[test]
fn what_answers_with_404_may_be_no_consul() {
    let script =
        Script::new(vec!["HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nlost".to_owned()]);
    let got = on_runtime(get(&script.access(), "ringway/models/a"));
    assert_eq!(got, Err("answered with 404: lost".to_owned()));
}

#[test]
fn a_key_is_read_and_written_only_as_it_was_read() {
    let model = pair("ringway/models/a b", Some("{}"));
    let script = Script::new(vec![
        answer("200 OK", "12", &format!("[{model}]")),
        String::new(),
        answer("200 OK", "13", "true\n"),
        String::new(),
        answer("200 OK", "13", "false"),
        String::new(),
        answer("500 Internal Server Error", "13", "No cluster leader"),
    ]);
    let access = script.access();
    on_runtime(async {
        let key = "ringway/models/a b";
        let kept = Kept { value: b"{}".to_vec(), index: 12 };
        assert_eq!(get(&access, key).await, Ok(Some(kept)));
    });
    let key = "ringway/models/a b";
    assert!(on_runtime(put(&access, key, b"x".to_vec(), 12)).is_err(), "it hangs up");
    assert_eq!(on_runtime(put(&access, key, b"{ }".to_vec(), 12)), Ok(true));
    assert!(on_runtime(delete(&access, key, 12)).is_err(), "it hangs up");
    assert_eq!(on_runtime(delete(&access, key, 12)), Ok(false));
    assert!(on_runtime(put(&access, key, Vec::new(), 0)).is_err(), "it hangs up");
    let why = on_runtime(put(&access, key, Vec::new(), 0)).unwrap_err();
    assert_eq!(why, "answered with 500: No cluster leader");
    let asked = script.asked();
    assert_eq!(asked[0], "GET /v1/kv/ringway/models/a%20b t0ken ");
    assert_eq!(asked[2], "PUT /v1/kv/ringway/models/a%20b?cas=12 t0ken { }");
    assert_eq!(asked[4], "DELETE /v1/kv/ringway/models/a%20b?cas=12 t0ken ");
}
