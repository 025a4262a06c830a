DROP TABLE activity_tallies;
DROP TABLE activity_totals;
