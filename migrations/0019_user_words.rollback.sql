DROP TRIGGER users_words_insert ON users;
DROP TRIGGER users_words_update ON users;
DROP FUNCTION users_words_insert();
DROP FUNCTION users_words_update();
DROP FUNCTION user_words_of(text, text);
DROP TABLE user_words;
DROP FUNCTION search_words(text);
