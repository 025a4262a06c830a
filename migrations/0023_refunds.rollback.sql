DROP TABLE refunds;
DROP FUNCTION refunds_transactions();
