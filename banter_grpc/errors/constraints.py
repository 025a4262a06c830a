"""What each constraint of the schema means to a caller who runs into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from banter_grpc.errors import Refusal, data, user
from banter_grpc.errors import Refusal, user, user_presence

DEFECT: Final = None
"""A constraint that only a defect of the service can break: no caller can do anything about it."""

CONSTRAINTS: Final[Mapping[str, Callable[[], Refusal] | None]] = {
    "users_pkey": DEFECT,
    "users_phone_number_key": user.phone_number_taken,
    "users_firebase_uid_key": user.firebase_uid_taken,
    "users_email_key": user.email_taken,
    "users_username_key": user.username_taken,
    # The contract's own rules are at least as strict as these checks, and come first.
    "users_phone_number_check": DEFECT,
    "users_country_code_check": DEFECT,
    "users_full_name_check": DEFECT,
    "users_email_check": DEFECT,
    "users_username_check": DEFECT,
    "users_avatar_check": DEFECT,
    "users_bio_check": DEFECT,
    "users_gender_check": DEFECT,
    "users_birth_date_check": DEFECT,
    "users_role_check": DEFECT,
    "users_host_status_check": DEFECT,
    "users_audio_rate_check": DEFECT,
    "users_video_rate_check": DEFECT,
    "users_delete_time_check": DEFECT,
    "living_users_pkey": DEFECT,
    "living_users_user_id_fkey": DEFECT,
    "signing_keys_pkey": DEFECT,
    "signing_keys_secret_check": DEFECT,
    # Money: refusals are rows, and a constraint that fires is a defect.
    "wallets_pkey": DEFECT,
    "wallets_user_id_fkey": DEFECT,
    "wallets_kind_check": DEFECT,
    "wallets_available_check": DEFECT,
    "wallets_held_check": DEFECT,
    "wallets_version_check": DEFECT,
    "wallets_head_version_fkey": DEFECT,
    "transactions_pkey": DEFECT,
    "transactions_user_id_fkey": DEFECT,
    "transactions_kind_check": DEFECT,
    "transactions_total_check": DEFECT,
    "entries_pkey": DEFECT,
    "entries_version_key": DEFECT,
    "entries_balance_after_key": DEFECT,
    "entries_user_id_fkey": DEFECT,
    "entries_transaction_id_fkey": DEFECT,
    "entries_previous_version_fkey": DEFECT,
    "entries_account_check": DEFECT,
    "entries_amount_check": DEFECT,
    "entries_version_check": DEFECT,
    "entries_balance_after_check": DEFECT,
    "earnings_pkey": DEFECT,
    "earnings_user_id_fkey": DEFECT,
    "earnings_transaction_id_fkey": DEFECT,
    "earnings_kind_check": DEFECT,
    "earnings_host_part_check": DEFECT,
    "idempotency_keys_pkey": DEFECT,
    "idempotency_keys_fingerprint_check": DEFECT,
    "payments_pkey": DEFECT,
    "payments_user_id_fkey": DEFECT,
    "payments_transaction_id_fkey": DEFECT,
    "payments_transaction_id_key": DEFECT,
    "payments_coins_check": DEFECT,
    "signup_grants_pkey": DEFECT,
    "signup_grants_phone_hash_check": DEFECT,
    "leases_pkey": DEFECT,
    "notifications_pkey": DEFECT,
    "notifications_user_id_fkey": DEFECT,  # who is written to was locked before
    "notifications_type_check": DEFECT,
    "notifications_title_check": DEFECT,
    "notifications_body_check": DEFECT,
    "notifications_data_check": data.data_too_wide,
    "notification_sends_pkey": DEFECT,
    "user_activities_pkey": DEFECT,
    "user_activities_user_id_fkey": DEFECT,  # the user was locked before
    "user_activities_type_check": DEFECT,
    "user_activities_data_check": data.data_too_wide,
    "activity_totals_pkey": DEFECT,
    "activity_totals_count_check": DEFECT,
    "activity_tallies_pkey": DEFECT,
    "activity_tallies_count_check": DEFECT,
    "presence_pkey": DEFECT,
    "presence_user_id_fkey": user_presence.caller_gone,
    "hosts_pkey": DEFECT,
    "hosts_user_id_fkey": DEFECT,
    "hosts_rating_sum_rating_count_check": DEFECT,
}
