-- Macros that recognise records of erased persons, whose ids are known as keyed hashes only.

create or replace temp macro suppression_hash(id) as
    sha256(getvariable('erasure_outer') || sha256(getvariable('erasure_inner') || id));

create or replace temp macro is_erased_user(id) as
    coalesce(suppression_hash('u:' || id) in (select id_hash from erased_ids), false);

create or replace temp macro is_erased_device(id) as
    coalesce(suppression_hash('d:' || id) in (select id_hash from erased_ids), false);

-- A record that cannot be parsed may contain an id anywhere: every part of its text that could be one is checked. Parts
-- are quoted texts, texts between any two quotes, between blanks and punctuation with and without slashes, bare values of
-- JSON, fields of delimited text, and addresses.
create or replace temp macro fields_of(line, delimiter) as list_concat(
    string_split(line, delimiter),
    list_transform(string_split(line, delimiter), lambda field: trim(field, ' "' || chr(39) || chr(9) || chr(13) || chr(10)))
);

create or replace temp macro parts_of(line) as list_distinct(list_concat(
    regexp_extract_all(line, '"((?:[^"\\]|\\.)*)"', 1),
    regexp_extract_all(line, ':\s*"((?:[^"\\]|\\.)*)"', 1),
    regexp_extract_all(line, '"((?:[^"]|"")*)"', 1),
    string_split(line, '"'),
    regexp_extract_all(line, '[^\s,;|"''=&?{}\[\]()<>]+'),
    regexp_extract_all(line, '[^\s,;|"''=&?#{}\[\]()<>/]+'),
    regexp_extract_all(line, ':\s*([^\s,}\]"]+)', 1),
    fields_of(line, ','),
    fields_of(line, ';'),
    fields_of(line, '|'),
    fields_of(line, chr(9)),
    regexp_extract_all(replace(line, '%40', '@'), '[\w.+-]+@[\w.-]+\w')
));

-- JSON escapes characters, delimited text doubles its quotes, and a JSON text may contain JSON, valid or broken: the id is
-- the decoded text. A device that is an address is known by its hash alone.
create or replace temp macro unescaped(parts) as list_transform(
    list_filter(parts, lambda part: contains(part, '\')),
    lambda part: json_extract_string(case when json_valid('"' || part || '"') then '"' || part || '"' end, '$')
);

create or replace temp macro words_of(line) as (
    with outermost as (select parts_of(rtrim(line, chr(13) || chr(10))) as part),
    inner_texts as (
        select
            part,
            list_filter(unescaped(part), lambda text: contains(text, '"')) as whole,
            case when contains(line, '\"') then [replace(line, '\"', '"')] end as broken
        from outermost
    ),
    parts as (
        select
            list_concat(
                part, flatten(list_transform(list_concat(whole, broken), lambda text: parts_of(text)))
            ) as part
        from inner_texts
    )
    select list_distinct(list_concat(
        part,
        unescaped(part),
        unescaped(unescaped(part)),
        list_transform(list_filter(part, lambda each: contains(each, '""')), lambda each: replace(each, '""', '"')),
        list_transform(
            list_filter(part, lambda each: contains(each, '.') or contains(each, ':')), lambda each: without_address(each)
        )
    ))
    from parts
);
