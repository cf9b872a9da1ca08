//! What other versions rely on stays as it is.

use super::{MEMO, Message, NOTE, Outfit, Refusal, kind, said};
use std::mem::offset_of;
use zerocopy::IntoBytes as _;

#[test]
fn what_is_frozen_stays_as_it_is() {
    assert_eq!((size_of::<Message>(), NOTE), (128, 64));
    let places = [
        offset_of!(Message, kind),
        offset_of!(Message, protocol),
        offset_of!(Message, serial),
        offset_of!(Message, number),
        offset_of!(Message, numbers),
        offset_of!(Message, tag),
        offset_of!(Message, note),
    ];
    assert_eq!(places, [0, 4, 8, 12, 16, 56, 64]);
    assert_eq!([kind::HOLD, kind::FORGET, kind::SHOW, kind::STOP_AT_EDGE, kind::LOOK], [6, 7, 8, 9, 13]);
    assert_eq!([kind::DONE, kind::REFUSED, kind::SHOWN, kind::BUSY, kind::UNKNOWN], [100, 101, 102, 103, 104]);
    assert_eq!((kind::LOOKED, MEMO), (105, [1, 2]));
    // A message as it lies on the wire: little-endian, like every machine that it goes between.
    let mut wanted = [0_u8; 128];
    wanted[..20].copy_from_slice(&[6, 0, 0, 0, 5, 0, 0, 0, 0x2a, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0]);
    wanted[56..64].copy_from_slice(&[8, 7, 6, 5, 4, 3, 2, 1]);
    wanted[64..67].copy_from_slice(b"eth");
    let message = Message { serial: 42, number: 7, ..Message::hold(0x0102_0304_0506_0708, b"eth") };
    assert_eq!(message.as_bytes(), wanted);
}

#[test]
fn what_is_said_comes_back() {
    use said::{Done, Drop, Go, Hold, Numbers, Refused, Shown, Start, Take, Use};
    let length = size_of::<Numbers>();
    assert_eq!([size_of::<Start>(), size_of::<Take>(), size_of::<Shown>(), size_of::<Done>()], [length; 4]);
    assert_eq!([size_of::<Use>(), size_of::<Drop>(), size_of::<Go>()], [length; 3]);
    assert_eq!([size_of::<Hold>(), size_of::<Refused>()], [length; 2]);
    let numbers = [1, 2, 3, 4, 5, 6, 7, 8];
    let [frame_size, frames, ring_size, relays, outputs, poll, spin_us, core] = numbers;
    let start = Start { frame_size, frames, ring_size, relays, outputs, poll, spin_us, core };
    let message = Message::of(kind::START).saying(start);
    assert_eq!((message.numbers, message.says::<Start>()), (numbers, start));
    // A lane remembers by this what its socket sends for: the place is that of a taken one.
    let used = Message::of(kind::USE).saying(Use { output: 4, ..Use::default() });
    assert_eq!(used.says::<Take>().output, 4);
}

#[test]
fn notes_come_back_and_longer_ones_are_cut() {
    for length in [0, 1, NOTE, NOTE + 9] {
        let note = vec![b'x'; length];
        assert_eq!(Message::hold(1, &note).note(), &note[..length.min(NOTE)]);
    }
    assert_eq!(
        Message::hold(1, b"").saying(said::Hold { note_len: u32::MAX, ..said::Hold::default() }).note().len(),
        NOTE,
        "a length that cannot be"
    );
}

#[test]
fn refusals_survive_their_message() {
    let all = [
        Refusal::TooFewFrames { free: 9 },
        Refusal::Occupied,
        Refusal::Parked { frames: 4 },
        Refusal::NoSuchNumber,
        Refusal::NoDescriptor,
        Refusal::Unmappable(nix::errno::Errno::ENODEV),
        Refusal::Other { code: 77 },
    ];
    for refusal in all {
        assert_eq!(Refusal::of(&refusal.message()), refusal);
    }
}

#[test]
fn an_outfit_keeps_its_order() {
    let parts = [1, 2, 3, 4, 5, 6, 7];
    let outfit = Outfit::from_array(parts);
    assert_eq!((outfit.frames, outfit.door, outfit.tap), (1, 6, 7));
    assert_eq!(outfit.into_array(), parts);
}
