"""What a site's pages ask for while somebody waits; `urls` is what the site includes."""

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.cache import get_conditional_response, patch_cache_control, set_response_etag
from django.views.decorators.http import require_safe

from .progress import Stage, progress_of, read_token


@login_not_required  # the token is the permission: it comes from a page that its reader may see
@require_safe
def flow_progress(request: HttpRequest, token: str) -> HttpResponseBase:
    named = read_token(token)
    if named is None:
        raise Http404
    progress = progress_of(*named)
    if progress.stage == Stage.GONE:
        return HttpResponse(status=410)
    response = JsonResponse({"stage": progress.stage, "interval": progress.interval, **progress.figures})
    patch_cache_control(response, private=True, no_cache=True)
    set_response_etag(response)
    return get_conditional_response(request, response["ETag"], response=response) or response
