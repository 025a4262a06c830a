DROP FUNCTION drop_activity_partitions();
DROP FUNCTION make_activity_partitions();
DROP TABLE user_activities;
