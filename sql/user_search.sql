-- Finding people by name.

-- name: search_users :many
-- Active users who have, for each word of the query, one that begins with it; in the order of the first of their words
-- that begins with the word that is sought, after the cursor (word, user_id). No row: nobody, or the query has no word.
--
-- The word that is sought is a range of the index, from the cursor on; the other words are looked for in all the words of
-- the user, which the index has beside each. It is the rarest word of the query: the first page (`sought` is empty) counts
-- up to 10,000 entries of the index in all, the later ones name it. Of words that have more than their share of these the
-- longest is sought. A user who has several words in the range is shown at the first of them.
--
-- A page looks at 5000 entries at most, as words that many have may be had by nobody together. The last of these comes
-- as a row in any case, for the next page to go on behind it (`is_enough`), though it may be nobody who is sought
-- (`is_found`). Counted by ROWS, lest PostgreSQL 15 looks for peers of each.
-- index: user_words_word_user_id_idx, users_pkey
-- not null: sought, word, user_id, phone_number, country_code, full_name, timezone, role, is_verified, is_active, host_status, audio_rate, video_rate, create_time, update_time, is_online, rating_count, rating, is_found, is_enough
-- way: own
WITH words AS (
    SELECT
        split.word,
        count(*) OVER () AS number
    FROM unnest(search_words($query::text)) AS split (word)
),

rarest AS (
    SELECT word
    FROM words
    ORDER BY
        word <> $sought::text,
        CASE
            WHEN $sought::text = '' AND number > 1
                THEN (
                    SELECT count(*)
                    FROM (
                        SELECT
                        FROM user_words AS entries
                        WHERE entries.word >= words.word AND entries.word < words.word || chr(1114111)
                        ORDER BY entries.word
                        LIMIT 10000 / number
                    ) AS counted
                )
        END,
        char_length(word) DESC,
        word ASC
    LIMIT 1
),

place AS (
    SELECT
        coalesce(nullif($after_word::text, ''), word) AS word,
        $after_id::uuid AS user_id
    FROM rarest
),

looked_at AS (
    SELECT
        found.word,
        found.user_id,
        found.words,
        row_number() OVER (ORDER BY found.word, found.user_id ROWS UNBOUNDED PRECEDING) = 5000 AS is_enough
    FROM user_words AS found
    WHERE
        (found.word, found.user_id) > (
            SELECT
                place.word,
                place.user_id
            FROM place
        )
        AND found.word < (SELECT rarest.word || chr(1114111) FROM rarest)
    ORDER BY found.word, found.user_id
    LIMIT 5000
),

checked AS (
    SELECT
        word,
        user_id,
        is_enough,
        words LIKE ALL(
            ARRAY(
                SELECT '% ' || other.word || '%'
                FROM words AS other
                WHERE other.word <> (SELECT rarest.word FROM rarest)
            )
        )
        AND strpos(words, ' ' || word || ' ') <= strpos(words, (SELECT ' ' || rarest.word FROM rarest)) AS matches
    FROM looked_at
)

SELECT
    (SELECT rarest.word FROM rarest) AS sought,
    checked.word,
    profiles.user_id,
    profiles.phone_number,
    profiles.country_code,
    profiles.full_name,
    profiles.email,
    profiles.username,
    profiles.avatar,
    profiles.bio,
    profiles.gender,
    profiles.birth_date,
    profiles.age,
    profiles.role,
    profiles.firebase_uid,
    profiles.timezone,
    profiles.is_verified,
    profiles.is_active,
    profiles.host_status,
    profiles.audio_rate,
    profiles.video_rate,
    profiles.create_time,
    profiles.update_time,
    profiles.delete_time,
    profiles.is_online,
    profiles.last_seen_time,
    profiles.rating_count,
    profiles.rating,
    checked.matches AND profiles.is_active AS is_found,
    checked.is_enough
FROM checked
INNER JOIN profiles ON checked.user_id = profiles.id
WHERE
    (checked.matches OR checked.is_enough)
    AND (profiles.is_active OR checked.is_enough)
ORDER BY checked.word, checked.user_id
LIMIT $page_limit::bigint;
