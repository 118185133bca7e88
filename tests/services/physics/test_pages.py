import re

import httpx
from fastapi import FastAPI

from services.physics import swagger


async def test_the_page_needs_no_internet() -> None:
    app = FastAPI(title="Title of the page", docs_url=None)
    swagger.install(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://physics") as http:
        page = await http.get("/docs")
        assert page.status_code == 200
        assert "Title of the page" in page.text
        assert "://" not in page.text
        files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert len(files) == 3
        for path in files:
            response = await http.get(path)
            assert response.status_code == 200
            assert len(response.content) > 500
