//! The HTTP server that webhooks go to: answers as scripted, remembers each request.
//!
//! It speaks HTTP/1.1 itself, since it must also misbehave in ways that no HTTP library offers. Requests are
//! recorded before they are answered, so who has its answer finds its request here.

mod answer;
mod request;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::listening::Listening;
use crate::{Port, until};

use answer::After;
pub use answer::Answer;
pub use request::Request;

/// A load test of a million small events keeps about 1 GB; above it requests are counted, not kept.
const MAX_KEPT: usize = 1_000_000;

type Rule = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

pub struct Receiver {
    port: Port,
    script: Arc<Mutex<Script>>,
    listening: Option<Listening>,
}

struct Script {
    /// For the next requests, one each.
    next: VecDeque<Answer>,
    /// For all others.
    rule: Rule,
    requests: Vec<Request>,
    count: usize,
}

impl Receiver {
    /// Starts one that answers 200.
    pub async fn start() -> Self {
        let mut receiver = Self {
            port: Port::reserve(),
            script: Arc::new(Mutex::new(Script {
                next: VecDeque::new(),
                rule: Arc::new(|_| Answer::status(200)),
                requests: Vec::new(),
                count: 0,
            })),
            listening: None,
        };
        receiver.start_again();
        receiver
    }

    pub fn addr(&self) -> SocketAddr {
        self.port.addr()
    }

    /// Where to send webhooks; the path does not matter to it.
    pub fn url(&self) -> String {
        format!("http://{}/webhook", self.addr())
    }

    /// Answers the next requests with these, one each and in this order, before any rule.
    pub fn answers(&self, answers: impl IntoIterator<Item = impl Into<Answer>>) {
        self.script().next.extend(answers.into_iter().map(Into::into));
    }

    /// Answers all further requests with this one.
    pub fn always(&self, answer: impl Into<Answer>) {
        let answer = answer.into();
        self.answer_with(move |_| answer.clone());
    }

    /// Answers each further request by this rule.
    pub fn answer_with(&self, rule: impl Fn(&Request) -> Answer + Send + Sync + 'static) {
        self.script().rule = Arc::new(rule);
    }

    /// The requests so far, in the order in which they were complete.
    pub fn requests(&self) -> Vec<Request> {
        self.script().requests.clone()
    }

    /// How many requests there were.
    pub fn count(&self) -> usize {
        self.script().count
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        let mut script = self.script();
        script.requests.clear();
        script.count = 0;
    }

    /// Waits until there were at least `count` requests, and gives all.
    pub async fn wait_for(&self, count: usize, deadline: Duration) -> Vec<Request> {
        until(format!("{count} requests"), deadline, || async {
            if self.count() >= count { Ok(()) } else { Err(self.summary()) }
        })
        .await;
        self.requests()
    }

    /// Waits until the requests so far satisfy `predicate`, and gives them.
    pub async fn wait_until(
        &self,
        what: &str,
        deadline: Duration,
        predicate: impl Fn(&[Request]) -> bool,
    ) -> Vec<Request> {
        until(what, deadline, || async {
            let fits = predicate(&self.script().requests);
            if fits { Ok(()) } else { Err(self.summary()) }
        })
        .await;
        self.requests()
    }

    /// Ends all connections and refuses new ones.
    pub async fn stop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.stop().await;
        }
    }

    /// Listens again on the same port; script and requests are as before.
    #[track_caller]
    pub fn start_again(&mut self) {
        if self.listening.is_none() {
            let script = Arc::clone(&self.script);
            self.listening = Some(Listening::start(&self.port, move |stream| connection(stream, Arc::clone(&script))));
        }
    }

    /// The last few requests, for who waited in vain.
    fn summary(&self) -> String {
        let script = self.script();
        let mut summary = format!("{} requests", script.count);
        for request in script.requests.iter().rev().take(5) {
            let body = String::from_utf8_lossy(&request.body);
            let start: String = body.chars().take(200).collect();
            summary.push_str(&format!("; {} {} {start}", request.method, request.path));
        }
        summary
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        locked(&self.script)
    }
}

/// One connection: request, record, answer, until either side has enough.
async fn connection(mut stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut read_ahead = Vec::new();
    // A broken connection is the client's choice or the script's; the requests that arrived are kept.
    while let Ok(Some(request)) = request::read(&mut stream, &mut read_ahead).await {
        let answer = answer_to(request, &script);
        match answer.write(&mut stream).await {
            Ok(After::KeepOpen) => {}
            Ok(After::Close) | Err(_) => return,
        }
    }
}

fn answer_to(request: Request, script: &Mutex<Script>) -> Answer {
    let (scripted, rule) = {
        let mut script = locked(script);
        let scripted = script.next.pop_front();
        script.count += 1;
        if script.requests.len() < MAX_KEPT {
            script.requests.push(request.clone());
        }
        (scripted, Arc::clone(&script.rule))
    };
    // Not under the lock: a rule may look at the receiver.
    scripted.unwrap_or_else(|| rule(&request))
}

fn locked(script: &Mutex<Script>) -> MutexGuard<'_, Script> {
    // A predicate of the test's may panic under the lock; the script is whole all the same.
    script.lock().unwrap_or_else(PoisonError::into_inner)
}
