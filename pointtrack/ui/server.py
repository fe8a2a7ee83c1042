"""The page's server: Starlette, with answers from the sessions and events over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from pointtrack.io.lazy_video import lazy_video
from pointtrack.ui import exports, live, review, views
from pointtrack.ui.acts import LOAD
from pointtrack.ui.answers import Headers, json_of, mistake, number_of, told, whole, zipped
from pointtrack.ui.commands import commands_for
from pointtrack.ui.desk import Desk
from pointtrack.ui.project import Project

UPLOAD_SECONDS = 3600.0


def create_app(desk: Desk, review: str | None = None) -> Starlette:
    """The app of a desk. Serve it only behind `pointtrack.web.safety`, which asks for the token.

    Args:
        desk: the desk to show.
        review: a folder or list to begin a review with.

    Raises:
        ValueError, PermissionError: the review cannot be opened.
    """
    routes = Routes(desk)
    if review is not None:
        routes.reviews.open(review)
    pages = [
        Route("/", routes.page),
        Mount("/page", StaticFiles(packages=[("pointtrack.ui", "page")])),
    ]
    app = Starlette(routes=[*pages, *routes.api()])
    app.add_middleware(Headers)
    return app


class Routes:
    """The answers to requests. Slow work runs in other threads."""

    def __init__(self, desk: Desk):
        self.desk = desk
        self.reviews = review.Reviews(desk)
        self.lives = live.Lives(desk)
        self._arriving: set[Path] = set()  # uploads under way

    def api(self) -> list[BaseRoute]:
        """All routes below /api."""
        get: dict[str, Any] = {
            "/api/boot": self.boot,
            "/api/browse": self.browse,
            "/api/p/{id}/state": self.state,
            "/api/p/{id}/times": self.times,
            "/api/p/{id}/frame/{number:int}": self.frame,
            "/api/p/{id}/masks/{number:int}": self.masks,
            "/api/p/{id}/tracks": self.tracks,
            "/api/p/{id}/lanes": self.lanes,
            "/api/p/{id}/candidates": self.candidates,
            "/api/p/{id}/suggestions": self.suggestions,
            "/api/p/{id}/exports/{folder}/{file}": self.exported,
            "/api/review": self.review,
        }
        post: dict[str, Any] = {
            "/api/open": self.open,
            "/api/upload": self.upload,
            "/api/p/{id}/act": self.act,
            "/api/p/{id}/run": self.run,
            "/api/p/{id}/cancel": self.cancel,
            "/api/p/{id}/export": self.export,
            "/api/p/{id}/commands": self.commands,
            "/api/review": self.judge,
            "/api/review/open": self.open_review,
            "/api/review/export": self.export_review,
            "/api/live": self.begin_live,
        }
        return [
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in get.items()),
            *(Route(path, endpoint, methods=["POST"]) for path, endpoint in post.items()),
            WebSocketRoute("/api/ws", self.socket),
            WebSocketRoute("/api/live/ws", self.live_socket),
        ]

    async def page(self, request: Request) -> Response:
        """The page itself."""
        content = resources.files("pointtrack.ui").joinpath("page/index.html").read_bytes()
        return Response(content, media_type="text/html; charset=utf-8")

    @told
    async def boot(self, request: Request) -> Response:
        """What the page needs first."""
        desk = self.desk
        return JSONResponse(
            {
                "saved": await run_in_threadpool(desk.saved),
                "models": {
                    "tracker": desk.models.tracker,
                    "segmenter": desk.models.segmenter,
                    "engine": desk.models.engine,
                },
                "formats": {"tracks": exports.TRACKS, "masks": exports.MASKS, "videos": exports.VIDEOS},
                "roots": [str(root) for root in desk.folders.roots],
                "first": desk.first,
                "most_upload_bytes": desk.most_upload_bytes,
                "review": self.reviews.current is not None,
            }
        )

    @told
    async def browse(self, request: Request) -> Response:
        """The content of a folder."""
        return JSONResponse(
            await run_in_threadpool(self.desk.folders.entries, request.query_params.get("path"))
        )

    @told
    async def open(self, request: Request) -> Response:
        """Open a video as a project."""
        path = str((await json_of(request)).get("path", ""))
        project = await run_in_threadpool(self.desk.open, path)
        return JSONResponse({"state": await self._in(project, project.state), "problems": project.problems})

    @told
    async def upload(self, request: Request) -> Response:
        """Stream an uploaded file to disk; refuse it if it is not a video."""
        target = self.desk.upload_target(request.query_params.get("name", ""))
        room = self.desk.room()
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > room:
            return mistake(
                413,
                ValueError(f"upload: expected at most {room / 1e9:.1f} GB, got {int(length) / 1e9:.1f} GB"),
            )
        part = target.with_name(f".{target.name}.part")
        if part in self._arriving:
            raise ValueError(f"{target.name} is being uploaded already")
        self._arriving.add(part)
        received, began = 0, time.monotonic()
        try:
            with part.open("wb") as file:  # a server that was killed may have left one
                async for piece in request.stream():
                    received += len(piece)
                    if received > room:
                        raise ValueError(f"upload: expected at most {room / 1e9:.1f} GB, got more")
                    if time.monotonic() - began > UPLOAD_SECONDS:
                        raise ValueError(f"upload: expected it within {UPLOAD_SECONDS / 60:.0f} minutes")
                    file.write(piece)
            if not received or (length.isdecimal() and int(length) and received != int(length)):
                raise ValueError("upload: expected the whole file, got a part of it; drop it again")
            await run_in_threadpool(lazy_video, part)
            part.rename(target)
        except ClientDisconnect as error:
            raise ValueError("upload: it was broken off; drop the file again") from error
        except ValueError as error:
            raise ValueError(str(error).replace(str(part), target.name)) from error
        finally:
            self._arriving.discard(part)
            part.unlink(missing_ok=True)
        return JSONResponse({"path": str(target)})

    @told
    async def state(self, request: Request) -> Response:
        """The state of a project, without its frames."""
        project = self._project(request)
        return JSONResponse(await self._in(project, project.state))

    @told
    async def times(self, request: Request) -> Response:
        """Seconds of all frames, float32."""
        return Response(
            self._project(request).video.times.astype("<f4").tobytes(), media_type="application/octet-stream"
        )

    @told
    async def frame(self, request: Request) -> Response:
        """A frame as JPEG."""
        project, width = self._project(request), number_of(request, "w", 0)
        content = await run_in_threadpool(
            self.desk.pictures.jpeg, project, request.path_params["number"], width
        )
        return Response(content, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=600"})

    @told
    async def masks(self, request: Request) -> Response:
        """Masks of a frame."""
        project, number = self._project(request), request.path_params["number"]
        return JSONResponse(await self._in(project, lambda: views.masks_of(project, number)))

    @told
    async def tracks(self, request: Request) -> Response:
        """Tracks of some frames."""
        project = self._project(request)
        start, stop = number_of(request, "start", 0), number_of(request, "stop", 1)
        content = await self._in(project, lambda: views.tracks_of(project, start, stop))
        return Response(content, media_type="application/octet-stream")

    @told
    async def lanes(self, request: Request) -> Response:
        """The lanes of certainty along the frames."""
        project = self._project(request)
        start, stop = number_of(request, "start", 0), number_of(request, "stop", len(project.video))
        bins = number_of(request, "bins", 600)
        return JSONResponse(await self._in(project, lambda: views.lanes_of(project, start, stop, bins)))

    @told
    async def candidates(self, request: Request) -> Response:
        """The candidates for a prompt."""
        project = self._project(request)
        number, frame = number_of(request, "object", 0), number_of(request, "frame", 0)
        return JSONResponse(await self._in(project, lambda: views.candidates_of(project, number, frame)))

    @told
    async def suggestions(self, request: Request) -> Response:
        """Where a click would help most."""
        project = self._project(request)
        return JSONResponse(await self._in(project, lambda: views.suggestions_of(project)))

    @told
    async def act(self, request: Request) -> Response:
        """Perform an act."""
        project, content = self._project(request), await json_of(request)
        name, arguments = content.get("act"), content.get("args", {})
        if not isinstance(name, str) or not isinstance(arguments, dict) or name == LOAD:
            raise ValueError('act: expected {"act": name, "args": {...}}')
        return JSONResponse(await self._in(project, lambda: project.act(name, arguments)))

    @told
    async def run(self, request: Request) -> Response:
        """Begin a run."""
        project, content = self._project(request), await json_of(request)
        what = content.get("what", ["points", "objects"])
        if not isinstance(what, list) or not all(isinstance(one, str) for one in what):
            raise ValueError(f'what: expected a list of "points" and "objects", got {str(what)[:40]}')
        start = whole(content.get("start", 0), "start")
        stop = whole(content.get("stop", len(project.video)), "stop")
        direction: Any = str(content.get("direction", "both"))  # the run refuses words that it does not know
        origin = whole(content.get("origin", 0), "origin")
        await self._in(project, lambda: project.run(what, start, stop, direction, origin))
        return JSONResponse({"running": True})

    @told
    async def cancel(self, request: Request) -> Response:
        """Stop the run, the export, or both."""
        project, what = self._project(request), str((await json_of(request)).get("what", "all"))
        await self._in(project, lambda: project.cancel(what))
        return JSONResponse({"running": project.running is not None})

    @told
    async def export(self, request: Request) -> Response:
        """Begin to write files; an event tells when they exist."""
        project, options = self._project(request), exports.ExportOptions.from_dict(await json_of(request))
        return JSONResponse(await self._in(project, lambda: project.export(options)))

    @told
    async def commands(self, request: Request) -> Response:
        """The command lines for an export."""
        project, options = self._project(request), exports.ExportOptions.from_dict(await json_of(request))
        return JSONResponse(await self._in(project, lambda: commands_for(project, options)))

    @told
    async def exported(self, request: Request) -> Response:
        """An exported file; a folder is sent as .zip."""
        project = self._project(request)
        path = project.exported(request.path_params["folder"], request.path_params["file"])
        if path.is_dir():
            path = await run_in_threadpool(zipped, path)
        return FileResponse(path, filename=path.name, content_disposition_type="attachment")

    @told
    async def review(self, request: Request) -> Response:
        """The queue of the review."""
        return JSONResponse(await run_in_threadpool(self.reviews.told))

    @told
    async def open_review(self, request: Request) -> Response:
        """Begin or continue a queue."""
        content = await json_of(request)
        return JSONResponse(await run_in_threadpool(self.reviews.open, str(content.get("path", ""))))

    @told
    async def judge(self, request: Request) -> Response:
        """Record a verdict on a video in the queue."""
        content = await json_of(request)
        return JSONResponse(await run_in_threadpool(self.reviews.judge, content))

    @told
    async def export_review(self, request: Request) -> Response:
        """Write the accepted videos as a training set."""
        return JSONResponse(await run_in_threadpool(self.reviews.export))

    @told
    async def begin_live(self, request: Request) -> Response:
        """Open a camera or a stream."""
        content = await json_of(request)
        return JSONResponse(await run_in_threadpool(self.lives.begin, content))

    async def socket(self, socket: WebSocket) -> None:
        """Send the events of a project."""
        try:
            project = self.desk.project(socket.query_params.get("p", ""))
        except FileNotFoundError:
            await socket.close(1008)
            return
        await socket.accept()
        listener = self.desk.hub.listen(project.id)
        gone = asyncio.create_task(_until_gone(socket))
        try:
            await socket.send_json({"type": "state", "state": await self._in(project, project.state)})
            while not gone.done():
                event = asyncio.create_task(listener.get())
                await asyncio.wait({event, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not event.done():
                    event.cancel()
                    break
                if event.result() is None:  # too slow: the page reconnects, and begins with a fresh state
                    break
                await asyncio.wait_for(socket.send_json(event.result()), 30)
        except (WebSocketDisconnect, RuntimeError, asyncio.TimeoutError):
            pass
        finally:
            self.desk.hub.leave(project.id, listener)
            gone.cancel()
            with contextlib.suppress(RuntimeError):
                await socket.close()

    async def live_socket(self, socket: WebSocket) -> None:
        """Send the frames of a live source."""
        await self.lives.serve(socket)

    def _project(self, request: Request) -> Project:
        return self.desk.project(request.path_params["id"])

    async def _in(self, project: Project, function: Callable[[], Any]) -> Any:
        """Call a function in a project's thread; returns its result."""
        future: Future = project.worker.call(function)
        return await asyncio.wrap_future(future)


async def _until_gone(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive_text()
