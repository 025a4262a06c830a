-- What users are found by: the words of their names and usernames.
-- depends: 0018_users_list_index

-- The words of a text, as they are written and as they are looked for: without accents, in small letters, split at what
-- is neither letter nor digit. In the order of their code points, each once, at most 20 of 100 characters, so that a row
-- of theirs always fits into an index. Called PARALLEL UNSAFE because of the search: starting workers takes longer than
-- all of its page.
CREATE FUNCTION search_words(given text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
    SELECT coalesce(array_agg(first.word ORDER BY first.word COLLATE "C"), '{}')
    FROM (
        SELECT left(parts.part, 100) AS word
        FROM regexp_split_to_table(
            left(
                lower(
                    -- Accents, points of Semitic letters, and what is not seen at all. The vowels of Indic letters stay.
                    regexp_replace(
                        normalize(given, NFKD),
                        '[\u00AD\u0300-\u036F\u0483-\u0489\u0591-\u05BD\u05BF\u05C1\u05C2\u05C4\u05C5\u05C7\u0610-\u061A'
                        || '\u0640\u064B-\u065F\u0670\u06D6-\u06DC\u06DF-\u06E8\u06EA-\u06ED\u1AB0-\u1AFF\u1DC0-\u1DFF'
                        || '\u200B-\u200F\u2060-\u206F\u20D0-\u20FF\uFE00-\uFE0F\uFE20-\uFE2F\uFEFF]',
                        '',
                        'g'
                    )
                ),
                400
            ),
            -- By code points, because what a locale takes for a letter differs from one to the next.
            '[\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00BF\u00D7\u00F7\u02C2-\u02DF\u037E\u0387\u055A-\u055F'
            || '\u0589\u058A\u05BE\u05C0\u05C3\u05C6\u05F3\u05F4\u0600-\u060F\u061B-\u061F\u066A-\u066D\u06D4\u06DD\u06DE'
            || '\u06E9\u0964\u0965\u0970\u0E3F\u0E4F\u0E5A\u0E5B\u104A-\u104F\u10FB\u1360-\u1368\u17D4-\u17DB'
            || '\u2000-\u206F\u20A0-\u20CF\u2100-\u245F\u249C-\u2BFF\u2E00-\u2E7F\u2FF0-\u3004\u3008-\u3020\u3030\u303D-\u303F'
            || '\u30FB\uA830-\uA839\uE000-\uF8FF\uFD3E\uFD3F\uFE10-\uFE1F\uFE30-\uFE6F\uFFE0-\uFFFF\U0001F000-\U0001FAFF'
            || '\U000E0000-\U0010FFFF]+'
        ) WITH ORDINALITY AS parts (part, place)
        WHERE parts.part <> ''
        GROUP BY 1
        ORDER BY min(parts.place)
        LIMIT 20
    ) AS first
$$;

CREATE TABLE user_words (
    user_id uuid NOT NULL,
    word text COLLATE "C" NOT NULL,
    -- All the words of this user, a space before and after each of them: one row says whether he has other words too.
    words text COLLATE "C" NOT NULL,
    CONSTRAINT user_words_pkey PRIMARY KEY (user_id, word),
    CONSTRAINT user_words_user_id_fkey FOREIGN KEY (user_id) REFERENCES living_users (user_id) ON DELETE CASCADE
);

GRANT SELECT ON user_words TO banter_service;

-- The words of a user of this name and username, and beside each of them all of them.
CREATE FUNCTION user_words_of(full_name text, username text) RETURNS TABLE (word text, words text)
LANGUAGE sql IMMUTABLE PARALLEL UNSAFE
AS $$
    SELECT one.word, ' ' || array_to_string(found.words, ' ') || ' '
    FROM search_words(coalesce(username || ' ', '') || coalesce(full_name, '')) AS found (words)
    CROSS JOIN unnest(found.words) AS one (word)
$$;

-- Only these two triggers write user_words, so that nobody can forget it. The first one comes after users_live by its
-- name, as triggers do: what it inserts refers to living_users.
CREATE FUNCTION users_words_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    INSERT INTO user_words (user_id, word, words)
    SELECT made.id, his.word, his.words
    FROM made CROSS JOIN user_words_of(made.full_name, made.username) AS his
    WHERE made.delete_time IS NULL;
    RETURN NULL;
END;
$$;

CREATE FUNCTION users_words_update() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    DELETE FROM user_words WHERE user_id = new.id;
    INSERT INTO user_words (user_id, word, words)
    SELECT new.id, his.word, his.words FROM user_words_of(new.full_name, new.username) AS his;
    RETURN NULL;
END;
$$;

REVOKE ALL ON FUNCTION users_words_insert(), users_words_update() FROM PUBLIC;

CREATE TRIGGER users_words_insert
AFTER INSERT ON users
REFERENCING NEW TABLE AS made
FOR EACH STATEMENT
EXECUTE FUNCTION users_words_insert();

CREATE TRIGGER users_words_update
AFTER UPDATE OF full_name, username ON users
FOR EACH ROW
WHEN ((old.full_name, old.username) IS DISTINCT FROM (new.full_name, new.username))
EXECUTE FUNCTION users_words_update();

-- From here on nobody else writes users until this is done: a trigger is made with a lock that says so.
INSERT INTO user_words (user_id, word, words)
SELECT
    users.id,
    his.word,
    his.words
FROM users
CROSS JOIN user_words_of(users.full_name, users.username) AS his
WHERE users.delete_time IS NULL;

CREATE INDEX user_words_word_user_id_idx ON user_words (word, user_id) INCLUDE (words);
