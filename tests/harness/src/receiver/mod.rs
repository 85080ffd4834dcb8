//! The HTTP server that receives webhooks. It answers as scripted and records each request.
//!
//! It implements HTTP/1.1 itself, because it must misbehave in ways that no HTTP library offers. A request is recorded before
//! it is answered.

mod answer;
mod request;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;

use crate::tcp_server::TcpServer;
use crate::{Port, until};

pub use answer::Answer;
use answer::ConnectionFate;
pub use request::Request;

/// How many requests are kept, about 1 GB of small events. Further ones are only counted.
const MAX_KEPT: usize = 1_000_000;

type AnswerRule = Arc<dyn Fn(&Request) -> Answer + Send + Sync>;

pub struct Receiver {
    port: Port,
    script: Arc<Mutex<ReceiverScript>>,
    listening: Option<TcpServer>,
}

struct ReceiverScript {
    /// The answers of the next requests, one each.
    next: VecDeque<Answer>,
    /// The answer of all other requests.
    rule: AnswerRule,
    requests: Vec<Request>,
    /// How many requests are kept.
    kept: usize,
    count: usize,
}

impl Receiver {
    /// Starts a receiver that answers 200.
    pub async fn start() -> Self {
        let mut receiver = Self {
            port: Port::reserve(),
            script: Arc::new(Mutex::new(ReceiverScript {
                next: VecDeque::new(),
                rule: Arc::new(|_| Answer::status(200)),
                requests: Vec::new(),
                kept: MAX_KEPT,
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

    /// The URL for webhooks. The receiver ignores the path.
    pub fn url(&self) -> String {
        format!("http://{}/webhook", self.addr())
    }

    /// Answers the next requests with these, one each and in this order, before any rule.
    pub fn answers(&self, answers: impl IntoIterator<Item = impl Into<Answer>>) {
        self.script().next.extend(answers.into_iter().map(Into::into));
    }

    /// Answers the next requests that `matches` accepts with these, one each and in this order, and all others with 200.
    pub fn answers_to(
        &self,
        matches: impl Fn(&Request) -> bool + Send + Sync + 'static,
        answers: impl IntoIterator<Item = impl Into<Answer>>,
    ) {
        let next: Mutex<VecDeque<Answer>> = Mutex::new(answers.into_iter().map(Into::into).collect());
        self.answer_with(move |request| {
            let answer = matches(request).then(|| next.lock().unwrap_or_else(PoisonError::into_inner).pop_front());
            answer.flatten().unwrap_or_else(|| Answer::status(200))
        });
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

    /// Keeps no further request: a rule takes from each what it needs.
    pub fn keep_no_requests(&self) {
        self.script().kept = 0;
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

    /// Waits for at least `count` requests, and returns all.
    pub async fn wait_for(&self, count: usize, deadline: Duration) -> Vec<Request> {
        until(format!("{count} requests"), deadline, || async {
            if self.count() >= count { Ok(()) } else { Err(self.summary()) }
        })
        .await;
        self.requests()
    }

    /// Waits until the requests so far satisfy `predicate`, and returns them.
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

    /// Listens again on the same port, with the same script and requests.
    #[track_caller]
    pub fn start_again(&mut self) {
        if self.listening.is_none() {
            let script = Arc::clone(&self.script);
            self.listening = Some(TcpServer::start(&self.port, move |stream| connection(stream, Arc::clone(&script))));
        }
    }

    /// The last few requests, for the message of a failed wait.
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

    fn script(&self) -> MutexGuard<'_, ReceiverScript> {
        locked(&self.script)
    }
}

/// Serves one connection: reads, records and answers requests until either side closes it.
async fn connection(mut stream: TcpStream, script: Arc<Mutex<ReceiverScript>>) {
    let mut read_ahead = Vec::new();
    // The client or the script may break the connection; the requests that arrived are kept.
    while let Ok(Some(request)) = request::read(&mut stream, &mut read_ahead).await {
        let answer = answer_to(request, &script);
        match answer.write(&mut stream).await {
            Ok(ConnectionFate::KeepOpen) => {}
            Ok(ConnectionFate::Close) | Err(_) => return,
        }
    }
}

fn answer_to(request: Request, script: &Mutex<ReceiverScript>) -> Answer {
    let (scripted, rule) = {
        let mut script = locked(script);
        let scripted = script.next.pop_front();
        script.count += 1;
        if script.requests.len() < script.kept {
            script.requests.push(request.clone());
        }
        (scripted, Arc::clone(&script.rule))
    };
    // Not under the lock, because a rule may use the receiver.
    scripted.unwrap_or_else(|| rule(&request))
}

fn locked(script: &Mutex<ReceiverScript>) -> MutexGuard<'_, ReceiverScript> {
    // A predicate of the test may panic under the lock; the script is intact even then.
    script.lock().unwrap_or_else(PoisonError::into_inner)
}
