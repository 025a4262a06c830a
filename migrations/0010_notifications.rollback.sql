DROP FUNCTION lock_living_users(uuid[]);
DROP TABLE notification_sends;
DROP TABLE notifications;
