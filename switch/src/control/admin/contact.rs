//! Orders about the contact addresses.

use std::num::NonZeroU8;

use hyper::{StatusCode, Uri};

use super::content::Answer;
use super::site::text;
use crate::control::contact::desk::{ContactDesk, Order, Refusal};

/// Hands an order to the contact thread and tells what became of it; `desk` is `None` when there is
/// no such thread.
pub(super) async fn answer(desk: Option<&ContactDesk>, uri: &Uri) -> Answer {
    let Some(order) = order(uri.path(), uri.query().unwrap_or("")) else {
        return text(StatusCode::BAD_REQUEST, BAD_ORDER.to_owned());
    };
    let Some(desk) = desk else {
        return text(StatusCode::NOT_FOUND, NO_CONTACT.to_owned());
    };
    let (status, words) = match desk.order(order).await {
        Ok(done) => (StatusCode::OK, done),
        Err(Refusal::Unsafe(why)) => (StatusCode::CONFLICT, why),
        Err(Refusal::Failed(why)) => (StatusCode::INTERNAL_SERVER_ERROR, why),
        Err(Refusal::Unknown) => (StatusCode::NOT_FOUND, NO_GROUP.to_owned()),
    };
    text(status, format!("{words}\n"))
}

const BAD_ORDER: &str = "write /contact/yield?group=51&force=yes or /contact/resume?group=51; \
                         without a group, all are meant; groups are 1 to 255\n";
const NO_CONTACT: &str = "this switch has no contact address: its policy has no [contact]\n";
const NO_GROUP: &str = "this switch is in no such group: `pointsman contact status` lists them";

/// What a path and its query ask for; `None` when it makes no sense.
fn order(path: &str, query: &str) -> Option<Order> {
    let (mut group, mut force) = (None, false);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=')? {
            ("group", number) if group.is_none() => {
                group = Some(number.parse::<NonZeroU8>().ok()?.get());
            }
            ("force", "yes") => force = true,
            ("force", "no") => force = false,
            _ => return None,
        }
    }
    match path {
        "/contact/yield" => Some(Order::Yield { group, force }),
        "/contact/resume" if !force => Some(Order::Resume { group }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::control::contact::desk::{Outcome, desk};

    async fn ask(path: &str, outcome: Option<Outcome>) -> (u16, String) {
        let (contact, inbox) = desk(|| {});
        let uri = path.parse().expect("it is one");
        let thread = async {
            if let Some(outcome) = outcome.clone() {
                let (_, reply) = inbox.take().expect("an order is there");
                reply.answer(outcome);
            }
        };
        let given = outcome.is_some().then_some(&contact);
        let (answer, ()) = tokio::join!(answer(given, &uri), thread);
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("it is whole");
        let body = String::from_utf8(body.to_bytes().to_vec()).expect("it is text");
        (status, body)
    }

    #[tokio::test]
    async fn what_becomes_of_an_order_is_the_answer() {
        let why = || "no switch would take over".to_owned();
        let cases = [
            (Ok("yielded to 10.0.0.11".to_owned()), 200, "10.0.0.11"),
            (Err(Refusal::Unsafe(why())), 409, "would take over"),
            (Err(Refusal::Failed(why())), 500, "would take over"),
            (Err(Refusal::Unknown), 404, "no such group"),
        ];
        for (outcome, status, part) in cases {
            let (shown, body) = ask("/contact/yield?group=51", Some(outcome.clone())).await;
            assert_eq!(shown, status, "{outcome:?}");
            assert!(body.contains(part) && body.ends_with('\n'), "{body}");
        }
        let (status, body) = ask("/contact/resume", None).await;
        assert_eq!((status, body.as_str()), (404, NO_CONTACT));
        assert_eq!(ask("/contact/yield?all", None).await.0, 400);
    }

    #[test]
    fn an_order_is_read_whole_or_not_at_all() {
        let (yields, resumes) = ("/contact/yield", "/contact/resume");
        let yielding = |group, force| Some(Order::Yield { group, force });
        let resuming = |group| Some(Order::Resume { group });
        let cases = [
            (yields, "", yielding(None, false)),
            (yields, "group=51", yielding(Some(51), false)),
            (yields, "group=51&force=yes", yielding(Some(51), true)),
            (yields, "force=yes", yielding(None, true)),
            (yields, "force=no", yielding(None, false)),
            (resumes, "", resuming(None)),
            (resumes, "group=255", resuming(Some(255))),
            (resumes, "force=yes", None),
            (yields, "group=0", None),
            (yields, "group=256", None),
            (yields, "group=5&group=6", None),
            (yields, "group", None),
            (yields, "force=1", None),
            (yields, "groups=51", None),
        ];
        for (path, query, expected) in cases {
            assert_eq!(order(path, query), expected, "{path}?{query}");
        }
    }
}
