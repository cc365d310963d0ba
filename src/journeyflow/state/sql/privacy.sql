-- Macros that shorten untrusted texts, and remove personal data and secrets from them. Each begins with a cheap test: most texts
-- hold none.

-- Names and addresses are published or grouped by: of a longer one the beginning is kept, marked by its last character. No text
-- has more characters than bytes, which are not counted one by one.
create or replace temp macro is_longer(words, most) as strlen(words) > most and length(words) > most;

create or replace temp macro shortened(words) as case when is_longer(words, 1000) then left(words, 999) || '…' else words end;

create or replace temp macro without_emails(words) as
    case
        when contains(words, '@') or contains(words, '%40')
            then regexp_replace(words, '[^/?&=;\s]+(?:@|%40)[^/?&=;\s]+', 'e-mail', 'g')
        else words
    end;

-- Keys, hashes and UUIDs; numbers with as many digits as a payment card (15 to 19, or in groups); session ids.
create or replace temp macro without_numbers(words) as regexp_replace(
    words,
    '(?i);jsessionid=[^/;?#]*'
    || '|[0-9a-f]{32,}'
    || '|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
    || '|\b[0-9]{15,19}\b'
    || '|\b[0-9]{4}(?:[-+ ]|%20)[0-9]{4}(?:[-+ ]|%20)[0-9]{4}(?:[-+ ]|%20)[0-9]{1,7}\b'
    || '|\b[0-9]{4}(?:[-+ ]|%20)[0-9]{6}(?:[-+ ]|%20)[0-9]{5}\b',
    'secret',
    'g'
);

-- A run of twenty or more characters with lower case, upper case and digits is a token.
create or replace temp macro is_token(part) as len(
    list_filter(
        regexp_extract_all(part, '[0-9A-Za-z_]{20,}'),
        lambda run: regexp_matches(run, '[0-9]') and regexp_matches(run, '[a-z]') and regexp_matches(run, '[A-Z]')
    )
) > 0;

create or replace temp macro without_secrets(words) as
    case
        when length(words) >= 15 and regexp_matches(words, '[0-9A-Za-z_]{20}|[0-9]{15}|[0-9]{4}[-+ %][-+ %0-9]{9}|[0-9A-Fa-f]{8}-|(?i);jsessionid')
            then array_to_string(
                list_transform(
                    string_split(without_numbers(words), '/'),
                    lambda part: case when is_token(part) then 'secret' else part end
                ),
                '/'
            )
        else words
    end;

-- Devices stay distinct, by a hash that cannot be reversed without the key by trying every address.
create or replace temp macro without_address(id) as
    case
        when (id like '%.%.%.%' and regexp_full_match(id, '(?:::ffff:)?\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?'))
            or (id like '%:%:%' and regexp_full_match(id, '(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|[0-9A-Fa-f:]*::[0-9A-Fa-f:.]*'))
            then left(sha256(getvariable('outer_key') || sha256(getvariable('inner_key') || id)), 32)
        else id
    end;

-- Texts inside JSON that are an IP address, and the queries and log-ins of URLs. A text begins at a quote without a preceding
-- backslash and ends at the next such quote.
create or replace temp macro json_cut(words) as regexp_replace(
    regexp_replace(
        regexp_replace(
            words,
            '([^\\])"\s*(?:(?:::ffff:)?\d{1,3}(?:\.\d{1,3}){3}(?:[:,\s](?:[^"\\]|\\.)*)?'
            || '|\[?(?:(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|[0-9A-Fa-f:]*::[0-9A-Fa-f:.]*[0-9A-Fa-f])'
            || '\]?(?:[:%,\s](?:[^"\\]|\\.)*)?)"',
            '\1"address"',
            'g'
        ),
        '([^\\]"https?:(?:\\?/){2})[^"/?#@\\]*@',
        '\1',
        'g'
    ),
    '([^\\]"https?:(?:\\?/){2}[^"?#]*)[?#](?:[^"\\]|\\.)*"',
    '\1"',
    'g'
);

create or replace temp macro properties_cut(properties) as
    case
        when properties like '%.%.%.%' or contains(properties, '::') or contains(properties, 'http')
            or properties like '%:%:%:%:%:%:%:%'
            then cast(json_cut(cast(properties as varchar)) as json)
        else properties
    end;

-- A log line as it may be stored: the first word is the address, or the second after the host's name; a broken line may contain
-- another one.
create or replace temp macro without_addresses(line) as regexp_replace(
    regexp_replace(regexp_replace(line, '^\S+(?: (?:[^-\s]\S*|-\S+))?', 'address'), '\b\d{1,3}(?:\.\d{1,3}){3}\b', 'address', 'g'),
    '(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|[0-9A-Fa-f:]*::[0-9A-Fa-f:.]*', 'address', 'g'
);
