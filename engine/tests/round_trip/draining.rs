//! A fetcher that is told to stop, as a process: what it holds is finished in time or given back, and its task is
//! protected while it holds a job.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::processes::{CLIENT, FETCHER, Process, Site};
use crate::processors::{reply, serve_requests};
use crate::program::assert_code;
use crate::world::{assert_fingerprint, until_now};

/// A site with one file on its way to a fetcher whose command says that it began and waits to be let go.
struct Held {
    site: Site,
    client: Process,
    fetcher: Process,
}

impl Held {
    fn new(drain: &str, environment: &[(&str, &str)]) -> Self {
        let site = Site::new();
        std::fs::write(site.path("inbox/a.txt"), "held").unwrap();
        let command = "analyse.sink.processor.command=[\"sh\", \"-c\", \"touch begun; \
                       until [ -e go ]; do sleep 0.05; done; echo analysed\"]";
        let drain = format!("analyse.claim.drain={drain}");
        let set = [command, "--set", &drain, "--set", "analyse.retry.interval=20ms"];
        let log = File::create(site.path("fetcher.log")).unwrap();
        let fetcher = site
            .command(&[FETCHER, &set].concat())
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let client = site.start(CLIENT);
        let held = Self {
            fetcher: Process(fetcher.unwrap()),
            site,
            client,
        };
        until_now("the analysis has begun", || held.site.path("begun").exists());
        held
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.site.path("fetcher.log")).unwrap()
    }

    /// Tells the fetcher to stop, and waits until it has heard.
    fn signal(&self, heard: &str) {
        kill_process(Pid::from_child(&self.fetcher.0), Signal::TERM).unwrap();
        until_now("the signal is heard", || self.log().contains(heard));
    }

    fn let_go(&self) {
        std::fs::write(self.site.path("go"), "").unwrap();
    }

    /// The only job, as `jobs list` tells it.
    fn job(&self) -> Value {
        let output = self.site.run(&["jobs", "list", "--all", "--format", "json"]);
        assert_code(&output, 0);
        let mut listing: Value = serde_json::from_slice(&output.stdout).unwrap();
        listing["jobs"][0].take()
    }

    /// Nothing is left on the fetcher's disk, and the job waits as if it had never been taken.
    fn assert_given_back(&self) {
        let job = self.job();
        let facts = (&job["status"], &job["failures"], &job["retries"]);
        assert_eq!(facts, (&json!("QUEUED"), &json!(0), &json!(0)), "{job}");
        let mut left = crate::world::files_below(&self.site.path("fetcher/spool"));
        left.retain(|file| !file.ends_with(".lock"));
        assert_eq!(left, Vec::<PathBuf>::new());
    }
}

fn code(child: &mut Child) -> Option<i32> {
    child.wait().unwrap().code()
}

#[test]
fn what_ends_in_time_is_committed() {
    let mut held = Held::new("60s", &[]);
    held.signal("stopping");
    assert_eq!(held.job()["status"], "PROCESSING", "it goes on");
    held.let_go();
    assert_eq!(code(&mut held.fetcher.0), Some(0), "{}", held.log());
    assert_eq!(held.job()["status"], "COMPLETED");
    until_now("the result is here", || held.site.results() == 1);
    assert_eq!(held.client.terminate(), Some(0));
}

#[test]
fn what_does_not_is_released_and_another_completes_it() {
    let mut held = Held::new("300ms", &[]);
    held.signal("stopping");
    assert_eq!(code(&mut held.fetcher.0), Some(0), "{}", held.log());
    assert!(held.log().contains("claim.drain"), "{}", held.log());
    held.assert_given_back();
    let another = ["analyse.sink.processor.builtin=fingerprint", "--once"];
    assert_code(&held.site.run(&[FETCHER, &another].concat()), 0);
    let job = held.job();
    assert_eq!(
        (&job["status"], &job["failures"]),
        (&json!("COMPLETED"), &json!(0))
    );
    until_now("the result is here", || held.site.results() == 1);
    let result = std::fs::read_to_string(held.site.path("results/a.txt.json")).unwrap();
    assert_fingerprint("a.txt", &result, b"held");
}

#[test]
fn a_second_signal_gives_back_at_once() {
    let mut held = Held::new("10m", &[]);
    let asked = Instant::now();
    held.signal("stopping");
    held.signal("stopping at once");
    assert_eq!(code(&mut held.fetcher.0), Some(0), "{}", held.log());
    assert!(asked.elapsed() < Duration::from_secs(60), "{:?}", asked.elapsed());
    held.assert_given_back();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_is_protected_while_a_job_is_held() {
    let asked: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let told = Arc::clone(&asked);
    let agent = serve_requests(move |request, body| {
        let mut told = told.lock().unwrap();
        told.push((request, serde_json::from_slice(&body).unwrap()));
        // The first is refused with a status that looks like success.
        let answer = if told.len() == 1 {
            "{\"failure\":{\"Arn\":\"arn\",\"Detail\":null,\"Reason\":\"TASK_NOT_VALID\"}}"
        } else {
            "{\"protection\":{\"ProtectionEnabled\":true,\"TaskArn\":\"arn\"}}"
        };
        reply(200, "application/json", answer)
    })
    .await;
    let uri = format!("{agent}v4/task");
    let mut held = Held::new("60s", &[("ECS_AGENT_URI", &uri)]);
    until_now("it is asked again", || asked.lock().unwrap().len() == 2);
    assert!(held.log().contains("TASK_NOT_VALID"), "{}", held.log());
    held.let_go();
    until_now("the result is here", || held.site.results() == 1);
    held.signal("stopping");
    assert_eq!(code(&mut held.fetcher.0), Some(0), "{}", held.log());
    let request = "PUT /v4/task/task-protection/v1/state".to_owned();
    let on = json!({"ProtectionEnabled": true, "ExpiresInMinutes": 10});
    let off = json!({"ProtectionEnabled": false});
    let expected = [on.clone(), on, off].map(|body| (request.clone(), body));
    assert_eq!(*asked.lock().unwrap(), expected);
}

/// An agent that never grants anything, and one that is not there, keep nobody from working.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_protection_the_work_goes_on() {
    let agent = serve_requests(|_, _| {
        let error = "{\"error\":{\"Code\":\"ThrottlingException\",\"Message\":\"Rate exceeded\"}}";
        reply(400, "application/json", error)
    })
    .await;
    for uri in [agent.as_str(), "http://127.0.0.1:9/"] {
        let mut held = Held::new("60s", &[("ECS_AGENT_URI", uri)]);
        held.let_go();
        until_now("the result is here", || held.site.results() == 1);
        held.signal("stopping");
        assert_eq!(code(&mut held.fetcher.0), Some(0), "{}", held.log());
        assert!(held.log().contains("protection"), "{}", held.log());
    }
}
