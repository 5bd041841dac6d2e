use std::path::Path;

use proptest::prelude::*;

use super::*;

#[track_caller]
fn formatted(text: &str) -> String {
    let once = format(text, Path::new("p.toml")).expect("it is TOML");
    let twice = format(&once, Path::new("p.toml")).expect("it is TOML");
    assert_eq!(once, twice, "to do it twice changes nothing");
    once
}

#[test]
fn blanks_and_empty_lines_have_one_form() {
    let text = "\u{feff}\n\n# first\r\n  [ listener . web ]\t# here\n bind=\":80\"\n\n\n\ntrusted = [ ]\n\
                tls   =  {cert=\"a\",key = \"b\"  }\n[[route]]\npool = \"app\"   \n# pools\n[pool.app]\n\
                backends=[\"a:1\",\"b:2\" ,]";
    let expected = "# first\n[listener.web]  # here\nbind = \":80\"\n\ntrusted = []\n\
                    tls = { cert = \"a\", key = \"b\" }\n\n[[route]]\npool = \"app\"\n\n# pools\n\
                    [pool.app]\nbackends = [\"a:1\", \"b:2\"]\n";
    assert_eq!(formatted(text), expected);
}

#[test]
fn a_broken_list_has_one_item_per_line_and_keeps_its_comments() {
    let text = "a = [ 1, # one\n  2,\n\n\n # three\n   3 # here\n  # below\n ] # end\nb = [\n]\n";
    let expected = "a = [\n    1,  # one\n    2,\n\n    # three\n    3,  # here\n    # below\n]  # end\n\
                    b = []\n";
    assert_eq!(formatted(text), expected);
}

#[test]
fn a_list_that_is_too_long_is_broken() {
    let item = format!("\"{}\"", "x".repeat(30));
    let list = [item.as_str(); 4].join(",");
    let expected = format!("a = [\n{}]\n", format!("    {item},\n").repeat(4));
    assert_eq!(formatted(&format!("a = [{list}]")), expected);
    let table = format!("a = {{ b = {item}, c = {item}, d = {item}, e = {item} }}\n");
    assert_eq!(formatted(&table), table, "a table stays on its line");
}

#[test]
fn lists_within_lists_keep_their_form() {
    let text = "a = [{ b = [\n1,2], c = 3 }, [4,\n5]]\nd = { e = [ # x\n6] }\n";
    let expected = "a = [\n    { b = [\n        1,\n        2,\n    ], c = 3 },\n    [\n        4,\n        5,\n    ],\n]\n\
                    d = { e = [\n    # x\n    6,\n] }\n";
    assert_eq!(formatted(text), expected);
}

#[test]
fn comments_behind_values_stand_in_one_column() {
    let text = "a = 1 # one\nlonger = 2\nbb = 33     # two\n\nc = 1 # apart\n";
    let expected = "a = 1    # one\nlonger = 2\nbb = 33  # two\n\nc = 1  # apart\n";
    assert_eq!(formatted(text), expected);
}

#[test]
fn strings_are_left_as_they_are() {
    let text =
        "a = \"\"\"\n  x  \n# no comment\n\"\"\"  # but this\nb = '  # '\n\"c d\".e = 0x1F\n";
    let expected =
        "a = \"\"\"\n  x  \n# no comment\n\"\"\"  # but this\nb = '  # '\n\"c d\".e = 0x1F\n";
    assert_eq!(formatted(text), expected);
}

#[test]
fn what_is_not_toml_is_told_as_check_tells_it() {
    for text in ["a = ", "[a\n", "a = 1\na = 2\n"] {
        let Err(FormatError::Syntax(report)) = format(text, Path::new("p.toml")) else {
            panic!("it is not TOML: {text}");
        };
        assert!(report.render_text(false).contains("p.toml:"), "{report}");
    }
    assert_eq!(formatted(""), "");
    assert_eq!(formatted("\n\n# only this"), "# only this\n");
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("1".to_owned()),
        Just("\"a # b\"".to_owned()),
        Just("'x'".to_owned()),
        Just("\"\"\"\n y\n\"\"\"".to_owned()),
        Just("true".to_owned()),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let gap = prop_oneof![
            Just(""),
            Just(" "),
            Just("\n"),
            Just(" # c\n"),
            Just("\n\n# d\n  ")
        ];
        let item = (gap.clone(), inner.clone(), gap);
        let array = proptest::collection::vec(item, 0..5).prop_map(|items| {
            let items = items.iter().map(|(a, b, c)| format!("{a}{b}{c}"));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        });
        let table = proptest::collection::vec(inner, 0..4).prop_map(|items| {
            let items = items.iter().enumerate();
            let items = items.map(|(n, item)| format!("k{n}={item}"));
            format!("{{{}}}", items.collect::<Vec<_>>().join(" , "))
        });
        prop_oneof![array, table]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_is_laid_out_faithfully_and_once(
        values in proptest::collection::vec((value(), any::<bool>(), 0u8..4), 1..6),
    ) {
        let mut text = String::new();
        for (n, (value, comment, breaks)) in values.iter().enumerate() {
            if *breaks == 3 {
                text += &format!("[t{n}]\n");
            }
            text += &format!(" k{n} ={value}");
            text += if *comment { "#c" } else { "" };
            text += &"\n".repeat(1 + usize::from(*breaks));
        }
        let once = format(&text, Path::new("p.toml"));
        prop_assert!(once.is_ok(), "{text}\n{once:?}");
        let once = once.unwrap_or_default();
        let twice = format(&once, Path::new("p.toml")).unwrap_or_default();
        prop_assert_eq!(once, twice);
    }
}
