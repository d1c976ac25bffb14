//! A search whose messages are handed on as they come, for as long as the server has some.

use ldap3::SearchOptions;
use ldap3::controls::{Control, RawControl};
use tokio::sync::mpsc;

use super::super::entry::{RawEntry, SearchRequest};
use super::super::failure::Failure;
use super::super::feed::{Controls, End, Message, RequestControl};
use super::{Connection, Flight, Ordering, Running};

impl Connection {
    /// Asks, and hands on every message until the search ends. Nothing bounds how long that takes:
    /// who drops the future ends it.
    pub(in super::super) async fn listen(
        &self,
        request: &SearchRequest,
        control: Option<&RequestControl>,
        into: &mpsc::Sender<Message>,
    ) -> Result<End, Failure> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.operations.fetch_add(1, Ordering::Relaxed);
        let _flight = Flight(&self.in_flight);
        let mut ldap = self.ldap.clone();
        let limit = i32::try_from(request.size_limit).unwrap_or(0);
        ldap.with_search_options(SearchOptions::new().sizelimit(limit));
        if let Some(control) = control {
            ldap.with_controls(vec![RawControl {
                ctype: control.name.to_owned(),
                crit: control.critical,
                val: control.value.clone(),
            }]);
        }
        let mut running = Running { connection: self, id: None, stream: None };
        running.begin(ldap, request).await?;
        loop {
            match running.next().await {
                Ok(None) => break,
                Ok(Some(message)) if message.is_ref() => {}
                Ok(Some(message)) => {
                    let controls = controls(message.1);
                    let told = if message.0.id == 25 {
                        Message::intermediate(message.0)
                    } else {
                        RawEntry::decode(message.0).map(|entry| Message::Entry { entry, controls })
                    };
                    let Some(told) = told else {
                        self.retire();
                        let text = "the server sent a message that cannot be read";
                        return Err(Failure::Refused { text: text.into(), code: None });
                    };
                    if into.send(told).await.is_err() {
                        return Err(Failure::Died("nobody listens any more".into()));
                    }
                }
                Err(error) => {
                    running.id = None;
                    return Err(self.failure(&error));
                }
            }
        }
        let result = running.finish().await;
        Ok(End { code: result.rc, text: result.text, controls: controls(result.ctrls) })
    }
}

pub(super) fn controls(given: Vec<Control>) -> Controls {
    Controls(given.into_iter().map(|one| (one.1.ctype, one.1.val.unwrap_or_default())).collect())
}
