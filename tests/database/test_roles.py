"""What the service's role may do, and may not; how it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import errors

from banter_grpc.database import roles
from banter_grpc.database.embedded import EmbeddedPostgres
from tests.conftest import NewDatabase
from tests.support.clusters import Cluster

GRANTS = {
    ("leases", "INSERT"),
    ("leases", "SELECT"),
    ("leases", "UPDATE"),
    ("activity_tallies", "DELETE"),
    ("activity_tallies", "INSERT"),
    ("activity_tallies", "SELECT"),
    ("activity_totals", "INSERT"),
    ("activity_totals", "SELECT"),
    ("activity_totals", "UPDATE"),
    ("host_verifications", "INSERT"),
    ("host_verifications", "SELECT"),
    ("host_verifications", "UPDATE"),
    ("hosts", "INSERT"),
    ("hosts", "SELECT"),
    ("hosts", "UPDATE"),
    ("activity_tallies", "UPDATE (count)"),
    ("living_users", "SELECT"),
    ("notifications", "UPDATE (read_time)"),
    ("migration_checksums", "SELECT"),
    ("earnings", "SELECT"),
    ("entries", "SELECT"),
    ("idempotency_keys", "INSERT"),
    ("idempotency_keys", "SELECT"),
    ("payments", "INSERT"),
    ("payments", "SELECT"),
    ("notification_sends", "DELETE"),
    ("notification_sends", "INSERT"),
    ("notification_sends", "SELECT"),
    ("notifications", "DELETE"),
    ("notifications", "INSERT"),
    ("notifications", "SELECT"),
    ("presence", "INSERT"),
    ("presence", "SELECT"),
    ("presence", "UPDATE"),
    ("plans", "SELECT"),
    ("profiles", "SELECT"),
    ("refunds", "INSERT"),
    ("refunds", "SELECT"),
    ("signup_grants", "INSERT"),
    ("signup_grants", "SELECT"),
    ("subscription_periods", "INSERT"),
    ("subscription_periods", "SELECT"),
    ("subscriptions", "INSERT"),
    ("subscriptions", "SELECT"),
    *(
        ("subscriptions", f"UPDATE ({column})")
        for column in ("auto_renew", "cancel_time", "end_time", "place", "try_time", "update_time")
    ),
    ("transaction_notes", "INSERT"),
    ("transaction_notes", "SELECT"),
    ("transactions", "SELECT"),
    ("wallets", "SELECT"),
    ("wallets", "UPDATE (available)"),
    ("wallets", "UPDATE (held)"),
    ("signing_keys", "INSERT"),
    ("signing_keys", "SELECT"),
    ("user_activities", "INSERT"),
    ("user_activities", "SELECT"),
    ("user_words", "SELECT"),
    ("users", "INSERT"),
    ("users", "SELECT"),
    ("users", "UPDATE"),
    ("host_bonuses", "INSERT"),
    ("host_bonuses", "SELECT"),
    ("withdrawal_details", "SELECT"),
    ("withdrawals", "SELECT"),
    ("withdrawals", "INSERT (user_id)"),
    ("withdrawals", "INSERT (id)"),
    ("withdrawals", "INSERT (amount)"),
    ("withdrawals", "INSERT (create_time)"),
    ("withdrawals", "UPDATE (status)"),
    ("withdrawals", "UPDATE (reviewer_id)"),
    ("withdrawals", "UPDATE (review_time)"),
    ("withdrawals", "UPDATE (completer_id)"),
    ("withdrawals", "UPDATE (end_time)"),
    ("withdrawals", "UPDATE (transaction_id)"),
    ("withdrawal_details", "INSERT (user_id)"),
    ("withdrawal_details", "INSERT (withdrawal_id)"),
    ("withdrawal_details", "INSERT (method)"),
    ("withdrawal_details", "INSERT (upi_id)"),
    ("withdrawal_details", "INSERT (account_holder)"),
    ("withdrawal_details", "INSERT (account_number)"),
    ("withdrawal_details", "INSERT (bank_code)"),
    ("withdrawal_details", "UPDATE (note)"),
    ("withdrawal_details", "UPDATE (payout_reference)"),
}


@pytest.fixture
def service(service_url: str) -> Iterator[psycopg.Connection]:
    """A connection of the service, whose work is undone."""
    with psycopg.connect(service_url) as connection:
        yield connection
        connection.rollback()


class TestService:
    def test_it_has_the_rights_that_it_was_granted_and_no_other(self, owner_url: str) -> None:
        query = (
            "SELECT table_name::text, privilege_type::text FROM information_schema.table_privileges"
            " WHERE grantee IN ('banter_service', 'PUBLIC') AND table_schema = 'public'"
            " UNION SELECT table_name::text, format('%s (%s)', privilege_type, column_name)"
            " FROM information_schema.column_privileges AS c"
            " WHERE grantee IN ('banter_service', 'PUBLIC') AND table_schema = 'public' AND NOT EXISTS ("
            "SELECT FROM information_schema.table_privileges AS t WHERE (t.table_name, t.grantee, t.privilege_type)"
            " = (c.table_name, c.grantee, c.privilege_type) AND t.table_schema = 'public')"
        )
        with psycopg.connect(owner_url) as connection:
            assert set(connection.execute(query).fetchall()) == GRANTS

    def test_what_runs_with_the_owners_rights_is_for_those_whom_it_was_granted(self, owner_url: str) -> None:
        query = (
            "SELECT proname FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS acl"
            " WHERE prosecdef AND pronamespace = 'public'::regnamespace AND acl.grantee = 0"
        )
        with psycopg.connect(owner_url) as connection:
            assert connection.execute(query).fetchall() == []

    def test_it_owns_nothing_and_is_nobody_in_particular(self, owner_url: str) -> None:
        with psycopg.connect(owner_url) as connection:
            role = connection.execute(
                "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,"
                " (SELECT count(*) FROM pg_class WHERE relowner = r.oid),"
                " (SELECT count(*) FROM pg_auth_members WHERE member = r.oid)"
                " FROM pg_roles AS r WHERE rolname = 'banter_service'"
            ).fetchone()
        assert role == (False, False, False, False, False, 0, 0)

    def test_it_reads_and_writes_users(self, service: psycopg.Connection) -> None:
        service.execute(
            "INSERT INTO users (id, phone_number, country_code, full_name, timezone, create_time, update_time)"
            " VALUES (gen_random_uuid(), '+911234567890', '+91', 'A', 'UTC', clock(), clock())"
        )
        changed = service.execute("UPDATE users SET role = 'admin' WHERE phone_number = '+911234567890'")
        assert changed.rowcount == 1
        found = service.execute("SELECT role FROM profiles WHERE phone_number = '+911234567890'").fetchall()
        assert found == [("admin",)]

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM users",
            "TRUNCATE users",
            "ALTER TABLE users ADD COLUMN more int",
            "DROP TABLE users",
            "CREATE TABLE mine ()",
            "CREATE TABLE mine (id uuid REFERENCES users)",
            "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE OR REPLACE FUNCTION clock() RETURNS timestamptz LANGUAGE sql AS 'SELECT now()'",
            "CREATE TRIGGER mine AFTER INSERT ON users EXECUTE FUNCTION users_notify()",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
            "SET ROLE banter",
            "DELETE FROM presence",
            "DELETE FROM hosts",
            "INSERT INTO migration_checksums VALUES ('0009_x', '', now())",
            "SELECT * FROM _yoyo_migration",
        ],
    )
    def test_it_may_not(self, service: psycopg.Connection, statement: str) -> None:
        with pytest.raises(errors.InsufficientPrivilege):
            service.execute(statement.encode())


class TestBootstrap:
    """On a cluster of their own: roles belong to the whole of it."""

    @pytest.fixture
    def server(self, own_cluster: Cluster) -> Iterator[EmbeddedPostgres]:
        """A server without the service's role; an owner without rights, and one who may make roles."""
        server = own_cluster.server
        administer(server, "DROP ROLE IF EXISTS banter_service")
        administer(server, "CREATE ROLE plain")
        administer(server, "CREATE ROLE maker CREATEROLE")
        yield server
        for name in ("banter_service", "plain", "maker"):
            administer(server, f"DROP ROLE IF EXISTS {name}")

    def test_it_makes_the_role_once(self, server: EmbeddedPostgres) -> None:
        for _ in range(2):
            roles.bootstrap(server.url(), login=False)
            assert can_log_in(server) is False

    def test_a_login_is_given_and_never_taken(self, server: EmbeddedPostgres) -> None:
        roles.bootstrap(server.url(), login=False)
        roles.bootstrap(server.url(), login=True)
        roles.bootstrap(server.url(), login=False)
        assert can_log_in(server) is True

    def test_an_owner_who_may_make_roles_may_act_as_the_service(self, server: EmbeddedPostgres) -> None:
        roles.bootstrap(server.url(), login=False)
        administer(server, "DROP ROLE banter_service")
        roles.bootstrap(as_role(server, "maker"), login=False)
        with psycopg.connect(as_role(server, "maker")) as connection:
            connection.execute("SET ROLE banter_service")

    def test_an_owner_who_may_not_is_told_what_an_administrator_runs(self, server: EmbeddedPostgres) -> None:
        with pytest.raises(roles.RoleError) as caught:
            roles.bootstrap(as_role(server, "plain"), login=False)
        message = str(caught.value)
        assert message.endswith("run: CREATE ROLE banter_service NOLOGIN; GRANT banter_service TO plain;")
        for statement in message.partition("run: ")[2].split(";"):
            administer(server, statement)
        roles.bootstrap(as_role(server, "plain"), login=False)
        with psycopg.connect(as_role(server, "plain")) as connection:
            connection.execute("SET ROLE banter_service")

    def test_a_role_that_is_not_his_is_granted_by_an_administrator(self, server: EmbeddedPostgres) -> None:
        roles.bootstrap(server.url(), login=False)
        with pytest.raises(roles.RoleError, match=r"run: GRANT banter_service TO plain;$"):
            roles.bootstrap(as_role(server, "plain"), login=False)


class TestClock:
    def test_tests_move_it_and_it_comes_back(self, service_url: str, move_clock: Callable[[float], None]) -> None:
        query = "SELECT extract(EPOCH FROM clock() - statement_timestamp())::float8"
        with psycopg.connect(service_url, autocommit=True, prepare_threshold=0) as connection:
            for seconds in (0, 3600, -60.5, 0):
                move_clock(seconds)
                assert connection.execute(query).fetchone() == (seconds,)

    def test_it_is_the_time_of_the_statement_not_of_the_transaction(self, new_database: NewDatabase) -> None:
        with psycopg.connect(new_database().service_url) as connection:
            query = "SELECT clock() = statement_timestamp(), clock() > now()"
            connection.execute("SELECT pg_sleep(0.001)")
            assert connection.execute(query).fetchone() == (True, True)


def administer(server: EmbeddedPostgres, statement: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(statement.encode())


def as_role(server: EmbeddedPostgres, role: str) -> str:
    """The URL with which the superuser becomes another role as he connects."""
    return server.url() + f"&options=-c%20role%3D{role}"


def can_log_in(server: EmbeddedPostgres) -> bool:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'banter_service'").fetchone()
    assert row is not None
    return bool(row[0])
