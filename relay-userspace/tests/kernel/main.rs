//! What only the kernel can say: it accepts the XDP program, decides with it as we do without, and lets it be handed on.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test ends where it fails, and says what it skips")]

mod program; // the program, loaded, with the links it runs on
mod socket; // an AF_XDP socket, just real enough to be redirected to
mod verdicts; // every frame of the table, decided by the kernel
mod attachment; // the program as control attaches it, and what others can do to it
mod hand_over; // from one owner to the next
