DROP TABLE withdrawal_details;
DROP TABLE withdrawals;
DROP FUNCTION withdrawals_forward();
