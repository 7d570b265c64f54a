//! The promises of the caches, proved from outside: clients write down what they were told by real servers while one thing
//! after the other is broken, and a judge compares that with the order of commits in the primary's own log.
//!
//! Nothing here knows how the product works, nor shares any of its code. A history that was kept can be judged again.
//!
//! [`run`](run::run) is the whole: a [`Plan`](run::Plan) on a [`Rig`](rig::Rig).

mod clients;
mod deeds;
pub mod faults;
pub mod figures;
pub mod history;
pub mod judge;
pub mod log;
pub mod mutants;
pub mod promotion;
pub mod rig;
pub mod run;
mod shapes;
pub mod world;
