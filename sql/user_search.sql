-- Finding people by name.

-- name: search_users :many
-- Active users who have, for each word of the query, one that begins with it; in the order of the first of their words
-- that begins with the word that is sought, after the cursor (word, user_id). No row: nobody, or the query has no word.
--
-- The word that is sought is a range of the index, from the cursor on; the other words are looked for in all the words of
-- the user, which the index has beside each. It is the rarest word of the query: the first page (`sought` is empty) counts
-- up to 10,000 entries of the index in all, the later ones name it. Of words that have more than their share of these the
-- longest is sought. A user who has several words in the range is shown at the first of them. All is said in a way that
-- lets the planner expect many rows: else it takes the page for a search through the whole range.
-- index: user_words_word_user_id_idx, users_pkey
-- not null: sought, word, user_id, phone_number, country_code, full_name, timezone, role, is_verified, is_active, host_status, audio_rate, video_rate, create_time, update_time, is_online, rating_count, rating
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
)

SELECT
    (SELECT rarest.word FROM rarest) AS sought,
    found.word,
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
    profiles.rating
FROM user_words AS found
INNER JOIN profiles ON found.user_id = profiles.id
WHERE
    (found.word, found.user_id) > (
        SELECT
            place.word,
            place.user_id
        FROM place
    )
    AND found.word < (SELECT rarest.word || chr(1114111) FROM rarest)
    AND coalesce(
        found.words LIKE ALL(
            ARRAY(
                SELECT '% ' || other.word || '%'
                FROM words AS other
                WHERE other.word <> (SELECT rarest.word FROM rarest)
            )
        ),
        FALSE
    )
    AND strpos(found.words, ' ' || found.word || ' ')
    <= strpos(found.words, (SELECT ' ' || rarest.word FROM rarest))
    AND profiles.is_active
ORDER BY found.word, found.user_id
LIMIT $page_limit::bigint;
