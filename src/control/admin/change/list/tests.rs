//! Lists as people write them, before and after.

use serde_json::json;
use toml_edit::DocumentMut;

use super::*;

fn pushed(text: &str) -> String {
    let mut document: DocumentMut = text.parse().unwrap();
    let fields = json!({"id": "new", "n": 1});
    List::of(&mut document["keys"]).unwrap().push(fields.as_object().unwrap()).unwrap();
    document.to_string()
}

fn removed(text: &str, id: &str) -> String {
    let mut document: DocumentMut = text.parse().unwrap();
    let mut list = List::of(&mut document["keys"]).unwrap();
    let is_it = |it: &dyn TableLike| it.get("id").and_then(Item::as_str) == Some(id);
    let at = list.position(is_it).unwrap();
    list.remove(at);
    document.to_string()
}

#[test]
fn one_more_stands_as_the_others_do() {
    for (before, after) in [
        ("keys = []", "keys = [{ id = \"new\", n = 1 }]\n"),
        (
            "keys = [{ id = \"a\" }]\nx = 1\n",
            "keys = [{ id = \"a\" }, { id = \"new\", n = 1 }]\nx = 1\n",
        ),
        ("keys = [ {id=\"a\"} ] # c\n", "keys = [ {id=\"a\"}, { id = \"new\", n = 1 } ] # c\n"),
        (
            "keys = [\n  { id = \"a\" }, # of a\n  # b's\n  { id = \"b\" }, # of b\n]\n",
            "keys = [\n  { id = \"a\" }, # of a\n  # b's\n  { id = \"b\" }, # of b\n  { id = \"new\", n = 1 },\n]\n",
        ),
        (
            "keys = [\n\t{ id = \"a\" },\n\t{ id = \"b\" } # of b\n]\n",
            "keys = [\n\t{ id = \"a\" },\n\t{ id = \"b\" }, # of b\n\t{ id = \"new\", n = 1 },\n]\n",
        ),
        (
            "# top\n[[keys]]\nid = \"a\" # of a\n\n# end\n",
            "# top\n[[keys]]\nid = \"a\" # of a\n\n[[keys]]\nid = \"new\"\nn = 1\n\n# end\n",
        ),
    ] {
        assert_eq!(pushed(before), after);
    }
}

#[test]
fn one_less_takes_only_its_own_comments_along() {
    let three = "keys = [\n  { id = \"a\" }, # of a\n  # b's\n  { id = \"b\" }, # of b\n  # c's\n  { id = \"c\" }, # of c\n]\n";
    for (before, id, after) in [
        ("keys = [{ id = \"a\" }]\n", "a", "keys = []\n"),
        ("keys = [{ id = \"a\" }, { id = \"b\" }]\n", "a", "keys = [{ id = \"b\" }]\n"),
        ("keys = [ { id = \"a\" }, { id = \"b\" } ]\n", "b", "keys = [ { id = \"a\" } ]\n"),
        (
            three,
            "a",
            "keys = [\n  # b's\n  { id = \"b\" }, # of b\n  # c's\n  { id = \"c\" }, # of c\n]\n",
        ),
        (three, "b", "keys = [\n  { id = \"a\" }, # of a\n  # c's\n  { id = \"c\" }, # of c\n]\n"),
        (three, "c", "keys = [\n  { id = \"a\" }, # of a\n  # b's\n  { id = \"b\" }, # of b\n]\n"),
        (
            "keys = [\n  { id = \"a\" }, # of a\n  { id = \"b\" }\n]\n",
            "b",
            "keys = [\n  { id = \"a\" } # of a\n]\n",
        ),
    ] {
        assert_eq!(removed(before, id), after, "{id}");
    }
}

#[test]
fn what_an_empty_line_parts_from_a_table_is_not_its_own() {
    assert_eq!(before_own("\n# --- keys ---\n\n# of a\n# and more\n"), "\n# --- keys ---\n");
    assert_eq!(before_own("\n# of a\n"), "");
    assert_eq!(before_own(""), "");
    assert_eq!(before_own("# of the one before\n\n"), "# of the one before\n");
}
