//! The screen as a whole: what keys, answers and silence make of it, as text of the size of a terminal.

pub(super) mod stage; // a node, and a state that has heard of it
mod movement; // what keys do
mod screens; // what is seen
mod safety; // whatever names there are
mod picture; // the picture in the README
mod refusal; // where there is no terminal
mod given_back; // where nothing goes as it should
