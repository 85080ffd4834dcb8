//! Endpoints with `ordering: "chat"`: the events of one chat reach the receiver in order, other chats go on beside it.
//!
//! Each has a task of its own in every dispatcher, and one of them holds the endpoint: NATS serves nobody else
//! (`pinned`; `lease` when there is nothing to serve). `holding` is what the holder does: `chats` decides, `parked` is
//! what waits in RETRIES. `shifts` starts and ends the tasks.
//!
//! **What is promised, and why it holds.** The first arrivals of a chat's events are in order, and the next does not go
//! before the one before it was taken with 2xx or rests in the dead letters. A dispatcher sends an event only after it
//! saw all before it in the chat settled, or found them settled when it took over: everything that is not settled comes
//! from EVENTS again then, in its order, or lies in RETRIES. That is true of each dispatcher by itself. So one that was
//! frozen and wakes does no harm, although it does not know that it lost its place: what it sends was sent, or is being
//! sent, by the one that has it, or comes after what it sent itself. A crash at any step repeats, and loses nothing.

mod chat_queues;
mod holder;
mod ordered_endpoint;
pub mod ordered_tasks;
mod retry_lease;
mod task;
