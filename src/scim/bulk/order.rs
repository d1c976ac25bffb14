//! What is done when: whatever an operation refers to, comes before it; where that goes round in a
//! circle, one is created without the reference and completed afterwards (RFC 7644 section 3.7.1).

use std::collections::{HashMap, HashSet};

use super::references::named;
use super::{Bulk, Id, Method, Operation};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// The operation at this place of the body. What is created under the `postponed` bulk ids is
    /// not there yet.
    Run { step: usize, postponed: Vec<String> },
    /// What was left out of the operation at this place.
    Complete { step: usize },
}

impl Bulk {
    /// Everything there is to do, in an order in which it can be done; what does not depend on
    /// anything is done in the order of the body. Every operation stands in it once.
    pub fn order(&self) -> Vec<Task> {
        let created: HashMap<&str, usize> = self
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| {
                matches!(&step.operation, Ok(operation) if operation.method == Method::Post)
            })
            .filter_map(|(place, step)| Some((step.bulk_id.as_deref()?, place)))
            .collect();
        let needs: Vec<Vec<(usize, String)>> = self
            .steps
            .iter()
            .map(|step| {
                let Ok(operation) = &step.operation else { return Vec::new() };
                needed(operation)
                    .into_iter()
                    .filter_map(|name| Some((*created.get(name.as_str())?, name)))
                    .collect()
            })
            .collect();
        let mut walk = Walk {
            needs: &needs,
            state: vec![State::Waiting; self.steps.len()],
            incomplete: HashMap::new(),
            tasks: Vec::with_capacity(self.steps.len()),
        };
        for place in 0..self.steps.len() {
            walk.visit(place);
        }
        walk.tasks
    }
}

/// The bulk ids that an operation refers to, each once.
fn needed(operation: &Operation) -> Vec<String> {
    let mut names = named(&operation.data);
    if let Some(Id::Created(name)) = &operation.id {
        names.push(name.clone());
    }
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    /// Waits for what it needs.
    Begun,
    Done,
}

struct Walk<'a> {
    /// For each operation, those whose resources it needs, with their bulk ids.
    needs: &'a [Vec<(usize, String)>],
    state: Vec<State>,
    /// Operations that were done without some of what they need: which of it is still to come.
    incomplete: HashMap<usize, HashSet<usize>>,
    tasks: Vec<Task>,
}

impl Walk<'_> {
    /// Brings what `first` needs before it. Without recursion: a chain may be as long as the body.
    fn visit(&mut self, first: usize) {
        let mut waiting = vec![first];
        while let Some(&place) = waiting.last() {
            if self.state[place] == State::Done {
                waiting.pop();
                continue;
            }
            self.state[place] = State::Begun;
            let next = self.needs[place]
                .iter()
                .map(|(needed, _)| *needed)
                .find(|needed| self.state[*needed] == State::Waiting);
            if let Some(needed) = next {
                waiting.push(needed);
            } else {
                waiting.pop();
                self.run(place);
            }
        }
    }

    fn run(&mut self, place: usize) {
        let missing: Vec<&(usize, String)> = self.needs[place]
            .iter()
            .filter(|(needed, _)| self.state[*needed] != State::Done)
            .collect();
        let postponed = missing.iter().map(|(_, name)| name.clone()).collect();
        if !missing.is_empty() {
            self.incomplete.insert(place, missing.iter().map(|(needed, _)| *needed).collect());
        }
        self.state[place] = State::Done;
        self.tasks.push(Task::Run { step: place, postponed });
        let mut complete: Vec<usize> = Vec::new();
        for (step, missing) in &mut self.incomplete {
            missing.remove(&place);
            if missing.is_empty() {
                complete.push(*step);
            }
        }
        complete.sort_unstable();
        for step in complete {
            self.incomplete.remove(&step);
            self.tasks.push(Task::Complete { step });
        }
    }
}
