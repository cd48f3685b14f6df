//! Records of the boundary, in both directions, and the options of a pool.

use bytes::Bytes;
use dodici_testkit::wire::{put_submission, read_completion};
use dodici_wire::count_records;
use dodici_wire::cursor::Reader;
use dodici_wire::options::PoolOptions;
use dodici_wire::submission::submissions as read_submissions;

/// A flush from JavaScript. What can be decoded is encoded and decoded again.
pub(crate) fn submissions(input: &[u8]) {
    let records = count_records(input);
    let mut read = 0;
    for submitted in read_submissions(Bytes::copy_from_slice(input)) {
        read += 1;
        let Ok((header, submitted)) = submitted else {
            continue;
        };
        let mut out = Vec::new();
        put_submission(&mut out, header.target, &submitted);
        let again = read_submissions(out.into()).next();
        let (header_again, again) = again
            .expect("what was written is a record")
            .expect("what was written can be read");
        assert_eq!(header_again.target, header.target);
        assert_eq!(format!("{again:?}"), format!("{submitted:?}"));
    }
    if let Ok(records) = records {
        assert_eq!(read, records, "each record is read once");
    }
}

/// A batch for JavaScript.
pub(crate) fn completions(input: &[u8]) {
    let mut batch = Reader::new(input);
    while let Ok(Some(_)) = read_completion(&mut batch) {}
}

/// The payload that creates a pool.
pub(crate) fn options(input: &[u8]) {
    if let Ok(options) = PoolOptions::decode(input) {
        // The engine's own validation is an error as well.
        let _ = dodici::check_config(&options.origin, &options.config);
    }
}
