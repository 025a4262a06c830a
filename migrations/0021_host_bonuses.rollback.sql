DROP TABLE host_bonuses;
