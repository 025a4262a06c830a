"""What each constraint of the schema means to a caller who runs into it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from banter_grpc.errors import Refusal, user

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
}
