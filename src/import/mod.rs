//! The worker behind imports: does what waits in the queue, job after job, and gives way to whoever
//! sends requests meanwhile.
//!
//! Takes no input and holds nothing that matters: it may end at any moment, here or on another node,
//! and whoever takes the queue up goes on where it was.

mod pace;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::federation::{Advance, Federation, ImportJob, ImportQueue, Problem, Underway};
use crate::scim::dialect::Manners;
use crate::telemetry::metrics::Metrics;
use pace::Pace;

/// How often it is looked whether a job waits.
const TICK: Duration = Duration::from_millis(250);

/// How often the queue is held anew while a job is being done.
const HELD: Duration = Duration::from_secs(3);

/// How long a tenant's jobs wait when a source that they need does not answer; longer each time.
const REST: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// How often what nobody needs any more is removed.
const SWEEP: Duration = Duration::from_mins(1);

/// A tenant whose jobs are done.
#[derive(Debug)]
pub struct TenantPart {
    pub federation: Arc<Federation>,
    pub manners: Manners,
}

/// Works on the queue.
#[derive(Debug)]
pub struct Worker {
    queue: ImportQueue,
    tenants: Vec<TenantPart>,
    /// Until when the jobs of a tenant wait, and for the how manieth time.
    resting: HashMap<String, (Instant, usize)>,
    pace: Pace,
    swept: Option<Instant>,
    /// Whether the last look at the queue failed, which is said once.
    failing: bool,
}

impl Worker {
    pub fn new(queue: ImportQueue, tenants: Vec<TenantPart>, metrics: &Arc<Metrics>) -> Self {
        let pace = Pace::new(Arc::clone(metrics), Instant::now());
        Self { queue, tenants, resting: HashMap::new(), pace, swept: None, failing: false }
    }

    /// Runs until `stopping` says so; what is being written then is finished.
    pub async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        // The sender goes only after it has said so.
        while timeout(TICK, stopping.wait_for(|stop| *stop)).await.is_err() {
            match self.pass(&stopping).await {
                Ok(()) => self.failing = false,
                Err(problem) => {
                    if !self.failing {
                        tracing::warn!(error = &problem as &dyn std::error::Error, "import.queue");
                    }
                    self.failing = true;
                }
            }
        }
        // Whoever comes next would only wait for its end.
        if let Err(problem) = self.queue.release().await {
            tracing::debug!(error = %problem, "import.lease.kept");
        }
    }

    /// Does all that waits, unless another program does.
    async fn pass(&mut self, stopping: &watch::Receiver<bool>) -> Result<(), Problem> {
        if self.swept.is_none_or(|at| at.elapsed() > SWEEP) && self.queue.hold().await? {
            self.queue.sweep().await?;
            self.swept = Some(Instant::now());
        }
        while !*stopping.borrow() {
            let now = Instant::now();
            let rests = |name: &str| self.resting.get(name).is_some_and(|(until, _)| now < *until);
            let tenants: Vec<&str> = self.tenants.iter().map(TenantPart::name).collect();
            let awake: Vec<&str> = tenants.into_iter().filter(|name| !rests(name)).collect();
            let Some(job) = self.queue.next(&awake).await? else { return Ok(()) };
            if !self.queue.hold().await? {
                return Ok(());
            }
            let tenant = job.tenant().to_owned();
            match self.carry_out(job, stopping).await {
                Ok(()) => drop(self.resting.remove(&tenant)),
                Err(problem) => self.rest(tenant, &problem),
            }
        }
        Ok(())
    }

    /// Does a job to its end, or to ours.
    async fn carry_out(
        &mut self,
        job: ImportJob,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), Problem> {
        let Some(tenant) = self.tenants.iter().find(|tenant| tenant.name() == job.tenant()) else {
            return Ok(());
        };
        let federation = &tenant.federation;
        let correlation_id = job.correlation_id().to_owned();
        let name = job.tenant().to_owned();
        let mut underway: Underway = federation.take_up(job, &tenant.manners)?;
        tracing::info!(tenant = name, import = correlation_id, "import.begins");
        let mut held = Instant::now();
        while !*stopping.borrow() {
            if held.elapsed() > HELD {
                if !self.queue.hold().await? {
                    return Ok(());
                }
                held = Instant::now();
            }
            let begin = Instant::now();
            match federation.advance(&mut underway, self.pace.rows(begin)).await? {
                Advance::Some => {
                    self.resting.remove(&name);
                    sleep(self.pace.pause(Instant::now(), begin.elapsed())).await;
                }
                Advance::Ended => {
                    tracing::info!(tenant = name, import = correlation_id, "import.ended");
                    return Ok(());
                }
                // The queue tells what has become of it.
                Advance::Passed => return Ok(()),
            }
        }
        Ok(())
    }

    /// Lets the tenant's jobs wait: nothing is concluded while somebody who may know does not answer.
    fn rest(&mut self, tenant: String, problem: &Problem) {
        let times = self.resting.get(&tenant).map_or(0, |(_, times)| *times);
        let wait = REST[times.min(REST.len() - 1)];
        if times == 0 {
            let error = problem as &dyn std::error::Error;
            tracing::warn!(tenant, error, "import.waits");
        }
        self.resting.insert(tenant, (Instant::now() + wait, times + 1));
    }
}

impl TenantPart {
    fn name(&self) -> &str {
        self.federation.tenant()
    }
}
