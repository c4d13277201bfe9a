//! Takes tasks over REST, puts each step that is ready into its worker queue, and collects results.
//!
//! One rule makes it safe to kill at any moment: a change of state, the messages that follow from
//! it, and the end of the message that caused it are one transaction.

pub mod api;
pub mod results;
pub mod store;

/// `/health` asks for the tables that the service cannot do without.
pub const HEALTH_QUERY: &str =
    "SELECT 1 FROM tasker.steps, pgmq.q_orchestration_step_results LIMIT 1";
