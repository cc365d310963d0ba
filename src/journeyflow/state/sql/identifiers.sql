-- What is an identifier: trimmed text that is no placeholder. The session variable `null_ids` holds the placeholders in lower
-- case; without it only blanks are none.

-- Blanks of ASCII and of Unicode. The macros are expanded many times: a list of calls in them would be planned each time.
set variable blanks =
    chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || ' ' || chr(133) || chr(160) || chr(5760) || chr(8192)
    || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200)
    || chr(8201) || chr(8202) || chr(8203) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288)
    || chr(12288) || chr(65279);

create or replace temp macro trimmed_id(id) as
    -- Trimming Unicode blanks is slow; nearly all ids begin and end with a visible character of ASCII.
    case
        when id >= '!' and id < chr(127) and not regexp_matches(id, '[^!-~]$') then id
        else nullif(trim(id, getvariable('blanks')), '')
    end;

-- No placeholder is longer than `null_id_length`. Of `list_contains` and `in` the database makes a join, with every row.
create or replace temp macro is_null_id(id) as
    case
        when length(id) <= getvariable('null_id_length') then coalesce(list_position(getvariable('null_ids'), lower(id)), 0) > 0
        else false
    end;

create or replace temp macro identifier_of(id) as case when not is_null_id(trimmed_id(id)) then trimmed_id(id) end;

-- The text of a value in JSON; of a whole number that was written with decimals, the whole number.
create or replace temp macro number_text(document, pointer) as
    case
        when json_type(document, pointer) = 'DOUBLE' then regexp_replace(json_extract_string(document, pointer), '\.0+$', '')
        else json_extract_string(document, pointer)
    end;
