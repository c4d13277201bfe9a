//! What the services share: the types of tasks and messages, configuration, the pool, health,
//! and a graceful end.

pub mod config;
pub mod database;
pub mod health;
pub mod messages;
pub mod serve;
pub mod types;

pub use config::{ConfigError, DatabaseUrl, ServiceConfig};
pub use types::{NewStep, NewTask, StepState, StepView, TaskState, TaskView};
