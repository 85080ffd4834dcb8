//! Endpoints with `ordering: "chat"`: the events of one chat reach the receiver in order, while other chats go on.
//!
//! Such an endpoint has a task of its own in every dispatcher (`ordered_tasks`, `task`), and one dispatcher holds the
//! endpoint: NATS serves no other (`pinned_pull`; `retry_lease` when there is nothing to serve). `holder` is what the
//! holding dispatcher does: `chat_queues` decides, `parked_events` are stored in RETRIES.
//!
//! **What is guaranteed, and why.** The first arrivals of a chat's events are in order, and no event is sent before the
//! one before it was accepted with 2xx or rests in the dead letters. A dispatcher sends an event only after it saw all
//! earlier events of the chat settled, or found them settled when it took over: then everything that is not settled
//! comes from EVENTS again, in order, or is in RETRIES. This holds for each dispatcher by itself. So a dispatcher that
//! was frozen and wakes does no harm, although it does not know that it has lost its hold: each event that it sends was
//! sent or is being sent by the present holder, or comes after events that it has sent itself. A crash at any step
//! causes a repeat and loses nothing.

mod chat_queues;
mod holder;
mod ordered_endpoint;
pub mod ordered_tasks;
mod task;
