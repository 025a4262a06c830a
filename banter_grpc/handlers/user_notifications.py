"""UserService: notifications."""

from __future__ import annotations

from banter.v1 import user_pb2

from banter_grpc import ids, structs, values
from banter_grpc.database.database import Database
from banter_grpc.database.queries import user_notifications as queries
from banter_grpc.pages import Page, Pages
from banter_grpc.rpc.caller import Caller


class UserNotificationsHandler:
    """Answers the calls of UserService that are about notifications."""

    def __init__(self, database: Database, pages: Pages) -> None:
        self._database = database
        self._pages = pages

    async def SendNotifications(  # noqa: N802
        self, request: user_pb2.SendNotificationsRequest, caller: Caller
    ) -> user_pb2.SendNotificationsResponse:
        """All in one statement; the next one finds what a replay was answered when it came first."""
        new = request.notifications
        send_key = ids.derived_id(caller.actor_id, request.request_id, "SendNotifications")
        sent, remembered = await self._database.run(
            queries.send_notifications(
                send_key=send_key,
                ids=[ids.new_id() for _ in new],
                user_ids=[each.user_id for each in new],
                types=[each.type for each in new],
                titles=[each.title for each in new],
                bodies=[each.body for each in new],
                data=[structs.to_json(each.data, field=f"notifications[{n}].data") for n, each in enumerate(new)],
            ),
            queries.get_notification_send(send_key=send_key),
        )
        answer = remembered or sent
        assert answer is not None, "it is an aggregate"
        return user_pb2.SendNotificationsResponse(sent_count=answer.sent_count, missed_user_ids=answer.missed_user_ids)

    async def ListNotifications(  # noqa: N802
        self, request: user_pb2.ListNotificationsRequest, caller: Caller
    ) -> user_pb2.ListNotificationsResponse:
        """The caller's own, from one index or the other."""
        page = self._pages.open(request, caller.actor_id, (ids.LAST_ID,))
        rows, token = page.cut(
            await self._rows(caller.user, page, unread_only=request.unread_only), lambda row: (row.notification_id,)
        )
        return user_pb2.ListNotificationsResponse(notifications=map(_encode, rows), next_page_token=token)

    async def _rows(self, user_id: str, page: Page, *, unread_only: bool) -> list[queries.Notification]:
        (before_id,) = page.cursor
        query = queries.list_unread_notifications if unread_only else queries.list_notifications
        return await self._database.run(query(user_id=user_id, before_id=str(before_id), at_most=page.limit))

    async def CountUnreadNotifications(  # noqa: N802
        self, _: user_pb2.CountUnreadNotificationsRequest, caller: Caller
    ) -> user_pb2.CountUnreadNotificationsResponse:
        """A count of index entries."""
        row = await self._database.run(queries.count_unread_notifications(user_id=caller.user))
        assert row is not None, "it is an aggregate"
        return user_pb2.CountUnreadNotificationsResponse(unread_count=row.unread_count)

    async def MarkNotificationsRead(  # noqa: N802
        self, request: user_pb2.MarkNotificationsReadRequest, caller: Caller
    ) -> user_pb2.MarkNotificationsReadResponse:
        """Of the ids those that are the caller's and unread, or all of his."""
        user_id = caller.user
        step = (
            queries.mark_all_notifications_read(user_id=user_id)
            if request.all
            else queries.mark_notifications_read(user_id=user_id, ids=request.ids.notification_ids)
        )
        return user_pb2.MarkNotificationsReadResponse(marked_count=await self._database.run(step, key=user_id))

    async def DeleteNotifications(  # noqa: N802
        self, request: user_pb2.DeleteNotificationsRequest, caller: Caller
    ) -> user_pb2.DeleteNotificationsResponse:
        """Of the ids those that are the caller's, or all of his."""
        user_id = caller.user
        step = (
            queries.delete_all_notifications(user_id=user_id)
            if request.all
            else queries.delete_notifications(user_id=user_id, ids=request.ids.notification_ids)
        )
        return user_pb2.DeleteNotificationsResponse(deleted_count=await self._database.run(step, key=user_id))


def _encode(row: queries.Notification) -> user_pb2.Notification:
    notification = user_pb2.Notification(
        notification_id=row.notification_id, type=row.type, title=row.title, body=row.body
    )
    structs.from_json(notification.data, row.data)
    if row.read_time is not None:
        values.set_timestamp(notification.read_time, row.read_time)
    values.set_timestamp(notification.create_time, row.create_time)
    return notification
