//! A running child with everything it started, which ends when nobody waits for it any more.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, copy, sink};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tracing::warn;

use super::super::Alive;

/// How long a child that was asked to end may take. A container that is stopped has 5 seconds left when the time to drain
/// (`claim.drain`) is over: there must be enough of them to give the job back.
const TERM_GRACE: Duration = Duration::from_secs(3);
/// How long a child that was killed may take: one that waits for a device which does not answer takes for ever.
const KILL_GRACE: Duration = Duration::from_secs(1);
/// How often the rest of its group is looked at meanwhile.
const TERM_LOOK: Duration = Duration::from_millis(100);

/// A child in a process group of its own. Dropped before [`Running::finish`], the group gets SIGTERM, and
/// SIGKILL after 3 seconds; if the process ends before that, SIGKILL at once.
#[derive(Debug)]
pub(super) struct Running {
    inner: Option<Inner>,
}

#[derive(Debug)]
struct Inner {
    // In the order of dropping: a killed group cannot take the end of its input for the file's.
    group: Group,
    child: Child,
    /// Held until the child is gone: closing it would tell the child that the file has ended.
    stdin: Option<ChildStdin>,
    /// Held as long: a child that says something as it ends would be killed by a pipe that nobody reads.
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    _alive: Alive,
}

/// What is done with a running child.
pub(super) struct Parts<'a> {
    pub(super) child: &'a mut Child,
    /// Taken away, it tells the child that the file has ended.
    pub(super) stdin: &'a mut Option<ChildStdin>,
    pub(super) stdout: Option<&'a mut ChildStdout>,
    pub(super) stderr: Option<&'a mut ChildStderr>,
}

impl Running {
    pub(super) fn start(mut command: tokio::process::Command, alive: Alive) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let group = Group::of(&child);
        Ok(Self {
            inner: Some(Inner {
                group,
                child,
                stdin,
                stdout,
                stderr,
                _alive: alive,
            }),
        })
    }

    /// The child and its pipes.
    pub(super) fn parts(&mut self) -> Parts<'_> {
        let inner = self
            .inner
            .as_mut()
            .expect("a running child is only taken by its end");
        Parts {
            child: &mut inner.child,
            stdin: &mut inner.stdin,
            stdout: inner.stdout.as_mut(),
            stderr: inner.stderr.as_mut(),
        }
    }

    /// The child has ended: what it left behind ends too.
    pub(super) fn finish(mut self) {
        drop(self.inner.take());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        inner.group.signal(Signal::Terminate);
        // Without a runtime the drop of `inner` kills at once.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(end(inner));
        }
    }
}

/// Waits for a group that was told to end, and kills what does not.
async fn end(mut inner: Inner) {
    let (stdout, stderr) = (inner.stdout.take(), inner.stderr.take());
    let gone = async {
        // An error here leaves the child to `kill_on_drop`.
        let _ = inner.child.wait().await;
        while inner.group.is_there() {
            tokio::time::sleep(TERM_LOOK).await;
        }
    };
    let unheard = async {
        tokio::join!(read_on(stdout), read_on(stderr));
        std::future::pending::<()>().await;
    };
    // The child is given up either way.
    let _ = tokio::time::timeout(TERM_GRACE, async {
        tokio::select! {
            () = gone => {}
            () = unheard => {}
        }
    })
    .await;
    inner.group.signal(Signal::Kill);
    if tokio::time::timeout(KILL_GRACE, inner.child.wait())
        .await
        .is_err()
    {
        warn!("a command that was killed has not ended: its place is given to the next file");
    }
}

/// Reads what nobody asks for any more.
async fn read_on(pipe: Option<impl AsyncRead + Unpin>) {
    if let Some(mut pipe) = pipe {
        let _ = copy(&mut pipe, &mut sink()).await;
    }
}

#[derive(Clone, Copy)]
enum Signal {
    Terminate,
    Kill,
}

/// A process group, killed when dropped.
#[derive(Debug)]
struct Group {
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        let id = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw);
        Self { id }
    }

    fn signal(&self, signal: Signal) {
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        if let Some(id) = self.id {
            // Nobody left is what is wanted.
            let _ = rustix::process::kill_process_group(id, signal);
        }
    }

    fn is_there(&self) -> bool {
        self.id
            .is_some_and(|id| rustix::process::test_kill_process_group(id).is_ok())
    }
}

#[cfg(not(unix))]
impl Group {
    fn of(_child: &Child) -> Self {
        Self {}
    }

    /// Elsewhere `kill_on_drop` ends the child itself.
    fn signal(&self, _signal: Signal) {}

    fn is_there(&self) -> bool {
        false
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::Kill);
    }
}
