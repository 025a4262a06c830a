-- Finding people by name.

-- name: search_users :many
-- Active users who have, for each word of the query, one that begins with it; in the order of the first of their words
-- that begins with the longest of them, after the cursor (word, user_id). No row: nobody, or the query has no word.
--
-- The longest word is a range of the index, from the cursor on; the other words are looked for in all the words of the
-- user, which the index has beside each. A user who has several words in the range is shown at the first of them. Both
-- are said in a way that lets the planner expect many rows: else it takes the page for a search through the whole range.
-- index: user_words_word_user_id_idx, users_pkey
-- not null: word, user_id, phone_number, country_code, full_name, timezone, role, is_verified, is_active, host_status, audio_rate, video_rate, create_time, update_time, is_online, rating_count, rating
-- way: own
WITH words AS (
    SELECT unnest(search_words($query::text)) AS word
),

longest AS (
    SELECT word
    FROM words
    ORDER BY char_length(word) DESC, word ASC
    LIMIT 1
),

place AS (
    SELECT
        coalesce(nullif($after_word::text, ''), word) AS word,
        $after_id::uuid AS user_id
    FROM longest
)

SELECT
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
    AND found.word < (SELECT longest.word || chr(1114111) FROM longest)
    AND coalesce(found.words LIKE ALL(ARRAY(SELECT '% ' || words.word || '%' FROM words)), FALSE)
    AND strpos(found.words, ' ' || found.word || ' ')
    <= strpos(found.words, (SELECT ' ' || longest.word FROM longest))
    AND profiles.is_active
ORDER BY found.word, found.user_id
LIMIT $page_limit::bigint;
