//! A stream of server-sent events: bytes come in pieces, messages go out whole.

/// A message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// What it can be continued after.
    pub(super) id: Option<String>,
    /// What it says.
    pub(super) data: String,
}

/// How long a line may be: far more than an event has.
const LONGEST: usize = 1 << 20;

/// The reader.
#[derive(Debug, Default)]
pub(super) struct Reader {
    line: Vec<u8>,
    after_return: bool,
    message: Message,
    has_data: bool,
}

impl Reader {
    /// Takes more bytes, and gives the messages that are whole now.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Message> {
        let mut messages = Vec::new();
        for &byte in bytes {
            match byte {
                // A line ends with CR, LF or both.
                b'\n' if self.after_return => {}
                b'\n' | b'\r' => messages.extend(self.end_line()),
                _ if self.line.len() < LONGEST => self.line.push(byte),
                _ => {}
            }
            self.after_return = byte == b'\r';
        }
        messages
    }

    fn end_line(&mut self) -> Option<Message> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            return std::mem::take(&mut self.has_data).then_some(message);
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.message.data.push('\n');
                }
                self.has_data = true;
                self.message.data.push_str(value);
            }
            "id" => self.message.id = Some(value.to_owned()),
            // A comment, which keeps the connection alive; or something that we need not know.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nid: 7\nevent: relay.created\ndata: {\"a\":1}\n\nid:8\r\ndata:one\r\ndata: two\r\n\r\nid: 9\n\ndata\n\n";

    fn expected() -> Vec<Message> {
        let message = |id: Option<&str>, data: &str| Message { id: id.map(str::to_owned), data: data.to_owned() };
        vec![message(Some("7"), "{\"a\":1}"), message(Some("8"), "one\ntwo"), message(None, "")]
    }

    #[test]
    fn pieces_do_not_matter() {
        for size in 1..STREAM.len() {
            let mut reader = Reader::default();
            let messages: Vec<Message> = STREAM.as_bytes().chunks(size).flat_map(|piece| reader.feed(piece)).collect();
            assert_eq!(messages, expected(), "in pieces of {size}");
        }
    }

    #[test]
    fn an_endless_line_takes_no_endless_memory() {
        let mut reader = Reader::default();
        for _ in 0..20 {
            reader.feed(&[b'x'; 1 << 16]);
        }
        assert!(reader.line.len() <= LONGEST);
        assert_eq!(reader.feed(b"\ndata: a\n\n").len(), 1);
    }
}
