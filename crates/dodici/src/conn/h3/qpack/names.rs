//! Names of the static table.

/// Where a name is in the table: the first entry with it, and how many follow one another.
pub(super) fn find(name: &str) -> Option<(usize, usize)> {
    let found = match name {
        ":authority" => (0, 1),
        ":path" => (1, 1),
        "age" => (2, 1),
        "content-disposition" => (3, 1),
        "content-length" => (4, 1),
        "cookie" => (5, 1),
        "date" => (6, 1),
        "etag" => (7, 1),
        "if-modified-since" => (8, 1),
        "if-none-match" => (9, 1),
        "last-modified" => (10, 1),
        "link" => (11, 1),
        "location" => (12, 1),
        "referer" => (13, 1),
        "set-cookie" => (14, 1),
        ":method" => (15, 7),
        ":scheme" => (22, 2),
        "accept" => (29, 2),
        "accept-encoding" => (31, 1),
        "accept-ranges" => (32, 1),
        "cache-control" => (36, 6),
        "content-encoding" => (42, 2),
        "content-type" => (44, 11),
        "range" => (55, 1),
        "accept-language" => (72, 1),
        "access-control-request-headers" => (80, 1),
        "access-control-request-method" => (81, 2),
        "authorization" => (84, 1),
        "early-data" => (86, 1),
        "forwarded" => (88, 1),
        "if-range" => (89, 1),
        "origin" => (90, 1),
        "purpose" => (91, 1),
        "upgrade-insecure-requests" => (94, 1),
        "user-agent" => (95, 1),
        "x-forwarded-for" => (96, 1),
        _ => return None,
    };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::table::FIELDS;
    use super::*;

    #[test]
    fn a_name_is_found_where_it_is() {
        for (index, (name, _)) in FIELDS.iter().enumerate() {
            let Some((first, count)) = find(name) else {
                continue;
            };
            let all = &FIELDS[first..first + count];
            assert!(all.iter().all(|(other, _)| other == name), "{name}");
            assert!(index >= first, "{name}");
        }
        assert_eq!(find("server"), None);
    }
}
